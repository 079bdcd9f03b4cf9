# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.


"""The status page of the exporter."""

import cProfile
import dataclasses
import html
from html import parser
import pathlib
import pstats
import re
from typing import Any

from nova_servicegroup import exceptions
from nova_servicegroup.exporter import history
from nova_servicegroup.exporter import hostmap
from nova_servicegroup.exporter import page
from nova_servicegroup.exporter import status
from nova_servicegroup.tests.unit import test_exporter
from nova_servicegroup.tests.unit import test_watcher
from nova_servicegroup.tests.unit import test_web
from nova_servicegroup.watch import inventory
from nova_servicegroup.watch import watcher

EXPORTER = pathlib.Path(page.__file__).parent
#: Elements without an end.
VOID = {'input', 'link', 'meta'}


class Page(parser.HTMLParser):
    """A page: its elements, and its text without that of pictures."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, Any]]] = []
        self.text = ''
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.elements.append((tag, dict(attributes)))
        self.text += ' ' * (tag in ('td', 'th'))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: Any) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        if 'svg' not in self.open:
            self.text += data

    def all(self, tag: str) -> list[dict[str, Any]]:
        """Return the attributes of all elements of a kind."""
        return [each for name, each in self.elements if name == tag]

    @property
    def words(self) -> str:
        """Its text, with single spaces."""
        return ' '.join(self.text.split())


class PageCase(test_exporter.ExporterCase):
    def ask(self, query: str = '') -> str:
        """Return the page."""
        made = page.StatusPage(self.driver.conf, [self.watch])
        found = made.answer(test_web.request('/', query))
        self.assertEqual(200, found.status)
        return found.body.decode()

    def shown(self, query: str = '') -> Page:
        return Page(self.ask(query))


class ContentCase(PageCase):
    def assert_shown(self, *texts: str) -> None:
        words = self.shown().words
        for each in texts:
            self.assertIn(each, words)


class ContentTest(ContentCase):
    def test_before_the_first_reading(self) -> None:
        self.clock.advance(12)
        self.assert_shown(
            'Blind: compute',
            'Blind for 12 s, since 2027-01-15 07:59:48 UTC: it has not been '
            'read yet.',
            'never confirmed the group',
        )

    def test_all_are_up(self) -> None:
        self.poll()
        self.clock.advance(2)
        self.assert_shown(
            'All services are up',
            'Confirmed 2.0 s ago; the backend answers.',
            '2 up 0 held 0 degraded',
            'that are not plainly up None.',
            'None since the exporter was started.',
        )

    def test_counts_reasons_and_times(self) -> None:
        self.register('a', 'b', 'c', 'd', 'e')
        self.register('f', forced_down=True)
        self.driver.tell(**dict.fromkeys('abcde', 'up'))
        self.poll()
        self.driver.tell(a='down', b='held', c='degraded', d='draining')
        self.poll(10)
        self.assert_shown(
            '1 down, 1 forced down, 1 held, 1 degraded, 1 draining',
            '1 up 1 held 1 degraded 1 draining 1 down 1 forced down',
            'a compute down missing from a group that was just confirmed '
            '2027-01-15 08:00:11 11 s ago',
            'f compute forced down forced down by an operator unknown unknown',
            'b compute held not seen, but its absence is no evidence '
            '2027-01-15 08:00:11 1.0 s ago',
            'c compute degraded its check fails: rpc, since '
            '2027-01-15T07:58:30+00:00 2027-01-15 07:58:30 1.0 s ago',
            'd compute draining its service takes no more work',
            '2027-01-15 08:00:11 a compute up down missing',
        )

    def test_one_that_was_down_at_the_start(self) -> None:
        self.register('c')
        self.poll()
        self.assert_shown('c compute down registered, but not seen unknown')

    def test_a_backend_that_is_away(self) -> None:
        self.poll()
        self.driver.lose(
            3.0, exceptions.BackendTimeout('zk', 'http://u:HUSH@h\nmute')
        )
        self.poll()
        self.clock.advance(180)
        self.wall.advance(180)
        self.assert_shown(
            'Blind: compute',
            'Blind for 3 min, since 2027-01-15 08:00:01 UTC: '
            'zk: http://***@h mute.',
            # After the hold time, that is more than what it said then.
            'It last confirmed the group 3 min ago; what is shown here '
            'follows from that.',
        )
        self.assertNotIn('HUSH', self.ask())

    def test_what_else_is_wrong(self) -> None:
        self.driver.ignored = ('rpc', 'virt')
        self.poll()
        self.assert_shown(
            "Nova's services table cannot be read",
            'Checks that are ignored, as so many fail them: rpc, virt.',
        )

    def test_the_driver_and_the_version(self) -> None:
        self.assert_shown('driver db, seen by', 'version 1.')

    def test_a_request_does_not_ask_the_backend(self) -> None:
        self.register('a')
        self.poll()
        before = self.driver.views, self.reads
        self.clock.advance(100)
        self.ask()
        self.assertEqual(before, (self.driver.views, self.reads))

    def test_the_last_transitions_the_latest_first(self) -> None:
        self.poll()
        for _ in range(history.MOST):
            self.driver.tell(a='down')
            self.poll()
            self.driver.tell(a='up')
            self.poll()
        changes = self.watch.history.recent
        self.assertEqual(history.MOST, len(changes))
        self.assertEqual('up', changes[0].state)
        self.assertGreater(changes[0].at, changes[-1].at)
        rows = self.ask().partition('id="transitions-table"')[2]
        self.assertEqual(history.MOST + 1, rows.count('<tr'))


class EvidenceTest(ContentCase):
    """The same with agents, and why services are down."""

    options = test_watcher.AGENTS

    def test_it_is_beside_the_state(self) -> None:
        self.register('a', 'b', 'c')
        self.register('f', forced_down=True)
        self.driver.tell(c='up')
        self.driver.agents = dict.fromkeys('abc', 'up')
        self.poll()
        self.driver.agents = {'b': 'process-died', 'c': 'held'}
        self.driver.tell(a='down', b='down', c='down')
        self.poll()
        missing = 'missing from a group that was just confirmed'
        at = '2027-01-15 08:00:02'
        self.assert_shown(
            f'a compute down silent {missing} {at}',
            f'b compute down process-died {missing} {at}',
            f'c compute down {missing} {at}',
            'f compute forced down forced down by an operator',
        )
        # The time is still that of the transition.
        self.driver.agents = {}
        self.poll()
        self.assert_shown(f'b compute down silent {missing} {at}')


class FilterTest(PageCase):
    def setUp(self) -> None:
        super().setUp()
        self.driver.tell(Xa1='up', xA2='held', y='held')
        self.poll()

    def test_by_a_part_of_the_name_in_any_case(self) -> None:
        words = self.shown('host=+XA').words
        self.assertIn('2 of 5 match XA.', words)
        self.assertIn('xA2 compute held', words)
        self.assertNotIn('y compute held', words)
        self.assertIn('2 held', words)

    def test_it_stays_in_the_form(self) -> None:
        (field,) = self.shown('host=XA').all('input')[:1]
        self.assertEqual(('host', 'XA'), (field['name'], field['value']))

    def test_none_that_matches(self) -> None:
        words = self.shown('host=nobody').words
        self.assertIn('0 of 5 match', words)
        self.assertIn('None of those that match.', words)

    def test_transitions_are_filtered_too(self) -> None:
        self.driver.tell(xA2='down', y='down')
        self.poll()
        rows = self.ask('host=xa').partition('id="transitions-table"')[2]
        self.assertIn('xA2', rows)
        self.assertNotIn('>y<', rows)

    def test_any_query_is_answered(self) -> None:
        for query in (
            'page=-1',
            'page=9999',
            'page=x',
            'page=%ff',
            'page=%C2%B2',
            'host=%00%1b%ff',
            'host=' + 'x' * 5000,
            '&&;=',
        ):
            self.ask(query)


class HostileTest(PageCase):
    """Names that a client of the backend has chosen."""

    NAMES = (
        '<script>alert(1)</script>',
        '"><img src=x onerror=alert(1)>',
        "' onmouseover='x",
        '</title></svg></table>',
        '{{ 7777 * 7777 }}',
        'a\x1b[2J\n\u202eb\udcff',
        'x' * 1024,
    )

    def check(self, text: str) -> Page:
        """Check that the page has no element but its own."""
        found = Page(text)
        self.assertEqual([], found.open)
        self.assertEqual([], found.all('img'))
        self.assertEqual(
            [{'src': 'static/status.js', 'defer': None}], found.all('script')
        )
        for _, attributes in found.elements:
            for name in attributes:
                self.assertFalse(name.startswith('on'), attributes)
                self.assertNotEqual('style', name)
        for line in text.splitlines():
            self.assertTrue(line.isprintable(), ascii(line))
        return found

    def test_of_a_few_hosts_in_the_table_and_the_transitions(self) -> None:
        self.poll()
        self.driver.tell(**dict.fromkeys(self.NAMES, 'held'))
        self.poll()
        found = self.check(self.ask())
        for name in self.NAMES[:5]:
            self.assertEqual(3, found.text.count(name), name)
        self.assertIn('a\\x1b[2J\\n\\u202eb\\udcff', found.text)
        self.assertNotIn(str(7777 * 7777), found.words)
        self.assertNotIn('x' * 301, found.text)

    def test_in_the_titles_and_labels_of_the_map(self) -> None:
        self.driver.tell(**dict.fromkeys(map(str, range(100)), 'up'))
        self.driver.tell(**dict.fromkeys(self.NAMES, 'held'))
        self.poll()
        text = self.ask()
        self.check(text)
        self.assertIn(html.escape(self.NAMES[0]), text)

    def test_in_reasons_and_checks(self) -> None:
        self.poll()
        self.driver.ignored = ('<b>\x1b',)
        self.driver.lose(1.0, exceptions.BackendError('<i>', '<u>\x1b'))
        self.poll()
        self.assertIn('<i>: <u>\\x1b', self.check(self.ask()).text)

    def test_in_the_filter(self) -> None:
        self.poll()
        found = self.check(
            self.ask('host=%22%3E%3Cimg+src%3Dx%3E%1b%E2%80%AE')
        )
        self.assertIn('"><img src=x>\\x1b\\u202e', found.text)

    def test_the_policy_of_its_content(self) -> None:
        made = page.StatusPage(self.driver.conf, [self.watch])
        found = made.answer(test_web.request('/'))
        policy = found.headers['Content-Security-Policy']
        self.assertIn("default-src 'none'", policy)
        self.assertIn("frame-ancestors 'none'", policy)
        self.assertNotIn('unsafe', policy)


class StructureTest(PageCase):
    def setUp(self) -> None:
        super().setUp()
        self.driver.tell(a='held', c='up')
        self.poll()
        self.driver.tell(c='down')
        self.poll()

    def test_what_it_refers_to_is_there_and_here(self) -> None:
        served = page.all_of(self.driver.conf, [self.watch])
        found = self.shown()
        links = [each['href'] for each in found.all('link')]
        links += [each['src'] for each in found.all('script')]
        self.assertEqual(set(served), {'/', *(f'/{it}' for it in links)})
        for each in links:
            file = served[f'/{each}'].answer(test_web.request(f'/{each}'))
            self.assertEqual(200, file.status)
            for word in re.findall(rb'https?://[^\s"]+', file.body):
                self.assertIn(
                    word,
                    (
                        b'http://www.apache.org/licenses/LICENSE-2.0',
                        b'http://www.w3.org/2000/svg',
                    ),
                )

    def test_its_parts_have_names(self) -> None:
        found = self.shown()
        ids = [it['id'] for _, it in found.elements if 'id' in it]
        self.assertEqual(len(ids), len(set(ids)))
        self.assertEqual({'lang': 'en'}, found.all('html')[0])
        self.assertEqual(1, len(found.all('h1')))
        for each in found.all('section'):
            self.assertIn(each['aria-labelledby'], ids)
        for each in found.all('th'):
            self.assertIn(each['scope'], ('col', 'row'))
        self.assertEqual('filter', found.all('label')[0]['for'])
        for _, each in found.elements:
            if 'data-live' in each:
                self.assertIn('id', each)

    def test_few_tab_stops(self) -> None:
        self.driver.tell(**{f'h{each}': 'up' for each in range(500)})
        self.poll()
        stops = [
            tag
            for tag, each in self.shown().elements
            if tag in ('a', 'button', 'input') or each.get('tabindex') == '0'
        ]
        self.assertEqual(
            ['a', 'input', 'button', 'input', 'div', 'div'], stops
        )

    def test_every_state_has_a_shape_and_a_colour(self) -> None:
        style = (EXPORTER / 'static' / 'status.css').read_text()
        shapes = [hostmap.icon(each) for each in inventory.STATES]
        self.assertEqual(len(shapes), len(set(shapes)))
        for each in inventory.STATES:
            self.assertIn(f'\n.{hostmap.slug(each)} {{', style)

    def test_without_a_script_it_is_loaded_again(self) -> None:
        (refresh,) = [
            each
            for each in self.shown().all('meta')
            if each.get('http-equiv') == 'refresh'
        ]
        self.assertEqual('30', refresh['content'])


class SizeTest(PageCase):
    """Ten thousand hosts."""

    COUNT = 10_000
    #: Function calls for each host.
    CALLS = 40

    def setUp(self) -> None:
        super().setUp()
        self.hosts = [f'compute-{each:05}' for each in range(self.COUNT)]
        self.driver.members.clear()
        self.register(*self.hosts)
        self.driver.tell(**dict.fromkeys(self.hosts, 'up'))
        self.poll()

    def check(self, query: str = '') -> str:
        """Check that the page is small, and made in few steps."""
        self.ask(query)
        with cProfile.Profile() as profile:
            text = self.ask(query)
        calls = pstats.Stats(profile).total_calls / self.COUNT
        self.measured('calls for each host', calls, unit='')
        self.measured('size', len(text) / 1000, unit='kB')
        self.assertLess(calls, self.CALLS)
        self.assertLess(len(text), 1_000_000)
        return text

    def test_all_up(self) -> None:
        text = self.check()
        self.assertIn('10,000', text)
        # Two more are the signs of up and held.
        self.assertEqual(self.COUNT, text.count('m1 1h6v6h-6z') - 2)
        self.assertIn('compute-00100 to compute-00199: all up', text)

    def test_some_are_not(self) -> None:
        states = ('down', 'held', 'degraded', 'draining')
        self.driver.tell(
            **{
                host: states[number % 4]
                for number, host in enumerate(self.hosts[::40])
            }
        )
        self.poll()
        text = self.check()
        self.assertIn('compute-00000 (down)', text)
        self.assertIn('1 to 200 of 250', ' '.join(text.split()))
        later = self.shown('page=1').words
        self.assertIn('201 to 250 of 250', later)
        self.assertIn('Previous', later)

    def test_none_is_up(self) -> None:
        self.driver.tell(**dict.fromkeys(self.hosts, 'down'))
        self.poll()
        text = self.check()
        self.assertIn('and 92 more', text)
        seen: set[str] = set()
        for number in range(self.COUNT // status.ROWS):
            table = (
                self.ask(f'page={number}')
                .partition('id="services-table')[2]
                .partition('id="transitions')[0]
            )
            seen.update(re.findall(r'>(compute-\d+)<', table))
        self.assertEqual(set(self.hosts), seen)

    def test_the_filter(self) -> None:
        text = self.check('host=0042')
        self.assertIn('11 of 10,000 match', text)


class MapTest(test_watcher.WatchedTest):
    def draw(self, *names: str, **states: str) -> hostmap.Map:
        return hostmap.draw([(each, states.get(each, 'up')) for each in names])

    def test_a_block_for_each_hundred(self) -> None:
        names = [f'h-{each:03}.x' for each in range(205)]
        made = self.draw(*names)
        self.assertEqual('h-', made.prefix)
        self.assertEqual(
            ['000.x', '100.x', '200.x'], [each.label for each in made.blocks]
        )
        self.assertEqual([80, 80, 8], [each.height for each in made.blocks])
        self.assertEqual('large', made.size)

    def test_larger_maps_have_smaller_hosts(self) -> None:
        for count, size in (
            (1200, 'large'),
            (1201, 'medium'),
            (4000, 'medium'),
            (4001, 'small'),
        ):
            made = self.draw(*map(str, range(count)))
            self.assertEqual(size, made.size)

    def test_names_without_a_common_beginning(self) -> None:
        self.assertEqual('', self.draw('a', 'b').prefix)
        self.assertEqual('', self.draw('a').prefix)
        self.assertEqual('', self.draw('10', '11').prefix)

    def test_each_host_is_at_its_place(self) -> None:
        names = [str(each) for each in range(12)]
        (block,) = self.draw(*names, **{'11': 'forced down'}).blocks
        paths = dict(block.paths)
        self.assertEqual(11, paths['up'].count('M'))
        self.assertTrue(paths['forced-down'].startswith('M8 8m'))
        self.assertEqual('0 to 11: 11 (forced down)', block.title)


class HistoryTest(test_watcher.WatchedTest):
    def change(self, host: str, state: str) -> watcher.Transition:
        return watcher.Transition(1.0, 'compute', host, 'up', state, '')

    def entry(self, host: str, state: str) -> inventory.Entry:
        return inventory.Entry(host, 'compute', state)

    def test_only_of_services_in_that_state(self) -> None:
        kept = history.History()
        down = self.change('a', 'down')
        entries = {
            each: self.entry(each, 'up' if each == 'b' else 'down')
            for each in 'ab'
        }
        kept.add(
            [down, self.change('b', 'up'), self.change('c', 'down')], entries
        )
        self.assertIs(down, kept.last(entries['a']))
        self.assertIsNone(kept.last(self.entry('a', 'forced down')))
        self.assertEqual({'a'}, set(kept._last))

    def test_a_change_of_the_evidence_is_left_out(self) -> None:
        kept, down = history.History(), self.change('a', 'down')
        entries = {'a': self.entry('a', 'down')}
        kept.add([down], entries)
        later = dataclasses.replace(down, at=2.0, before='down')
        kept.add([later], entries)
        self.assertIs(down, kept.last(entries['a']))
        self.assertEqual((down,), kept.recent)

    def test_thousands_at_once(self) -> None:
        kept = history.History()
        changes = [self.change(str(each), 'down') for each in range(1000)]
        kept.add(changes, {})
        self.assertEqual(history.MOST, len(kept.recent))
        self.assertIs(changes[-1], kept.recent[0])


class WordsTest(test_watcher.WatchedTest):
    def test_durations(self) -> None:
        for seconds, words in (
            (0.04, '0.0 s'),
            (9.96, '10.0 s'),
            (119, '119 s'),
            (120, '2 min'),
            (7200, '2 h'),
            (200_000, '2 d'),
        ):
            self.assertEqual(words, status.duration(seconds))

    def test_moments(self) -> None:
        self.assertEqual('1970-01-01 00:00:00', status.moment(0.0))
        self.assertEqual('out of range', status.moment(1e18))
