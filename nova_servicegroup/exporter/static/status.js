/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may
 * not use this file except in compliance with the License. You may obtain
 * a copy of the License at
 *
 *     http://www.apache.org/licenses/LICENSE-2.0
 *
 * Unless required by applicable law or agreed to in writing, software
 * distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
 * WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
 * License for the specific language governing permissions and limitations
 * under the License.
 */

'use strict';

/*
 * Updates the page by itself. Only the content of elements with data-live is
 * replaced, and only if it has changed, so that focus, scrolling, a selection
 * and what is typed into the filter stay as they are.
 */

const interval = 1000 * Number(document.body.dataset.update);
const toggle = document.querySelector('#updates input');
const stale = document.getElementById('stale');
const announce = document.getElementById('announce');

function isSelectedIn(element) {
  const selection = getSelection();
  return selection.type === 'Range' && selection.containsNode(element, true);
}

function replace(element, fresh) {
  if (element.innerHTML === fresh.innerHTML || isSelectedIn(element)) {
    return;
  }
  const focused = element.contains(document.activeElement)
    ? document.activeElement.id : '';
  element.replaceChildren(...fresh.childNodes);
  if (focused) {
    document.getElementById(focused)?.focus({preventScroll: true});
  }
}

function show(next) {
  const before = document.getElementById('headline').textContent;
  for (const element of document.querySelectorAll('[data-live]')) {
    const fresh = next.getElementById(element.id);
    if (fresh) {
      replace(element, fresh);
    }
  }
  const now = document.getElementById('headline').textContent;
  if (now !== before) {
    announce.textContent = now;
  }
  document.title = next.title;
}

async function update() {
  try {
    const answer = await fetch(location.href, {
      cache: 'no-store',
      signal: AbortSignal.timeout(10000),
    });
    if (!answer.ok) {
      throw new Error(answer.status);
    }
    const text = await answer.text();
    const next = new DOMParser().parseFromString(text, 'text/html');
    if (!next.getElementById('headline')) {
      // A proxy whose login has expired answers with a page of its own.
      throw new Error('not the page of the exporter');
    }
    show(next);
    stale.hidden = true;
  } catch {
    stale.hidden = false;
  }
}

async function tick() {
  if (toggle.checked && !document.hidden) {
    await update();
  }
  setTimeout(tick, interval);
}

document.getElementById('updates').hidden = false;
document.addEventListener('visibilitychange', () => {
  if (toggle.checked && !document.hidden) {
    update();
  }
});
setTimeout(tick, interval);
