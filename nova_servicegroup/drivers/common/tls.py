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

"""TLS contexts, made from the options of any driver."""

import ssl
from typing import NamedTuple

from oslo_config import cfg

from nova_servicegroup import exceptions


class Files(NamedTuple):
    """The files of the TLS options, each None if unset."""

    ca_file: str | None
    cert_file: str | None
    key_file: str | None
    key_password: str | None = None


def files(options: cfg.ConfigOpts.GroupAttr) -> Files:
    """Return the files that the options of a group name."""
    return Files(
        options.ca_file,
        options.cert_file,
        options.key_file,
        options.key_password if 'key_password' in options else None,
    )


def context(group: str, given: Files) -> ssl.SSLContext:
    """Return a context that trusts ca_file, or the system if it is unset.

    :param group: the group of the options, for errors
    :raises ConfigurationError: a file cannot be used
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if given.ca_file:
            made.load_verify_locations(given.ca_file)
        else:
            made.load_default_certs()
    except OSError as error:
        raise _unusable(group, 'ca_file', given[:1], error) from error
    if given.cert_file or given.key_file:
        _load_certificate(made, group, given)
    return made


def _load_certificate(made: ssl.SSLContext, group: str, given: Files) -> None:
    if not given.cert_file:
        raise exceptions.ConfigurationError(
            f'[{group}] cert_file',
            given.cert_file,
            'the file with the certificate of key_file',
        )
    try:
        made.load_cert_chain(
            given.cert_file,
            given.key_file or None,
            # With None, an encrypted key asks for it at the terminal.
            given.key_password or '',
        )
    except (OSError, ValueError) as error:
        raise _unusable(group, 'cert_file', given[1:3], error) from error


def _unusable(
    group: str, option: str, paths: tuple[str | None, ...], error: Exception
) -> exceptions.ConfigurationError:
    return exceptions.ConfigurationError(
        f'[{group}] {option}',
        ', '.join(filter(None, paths)),
        'PEM files that the user of this process may read, and with '
        'key_file, and a key_password if it has one, that belong to cert_file '
        f'({type(error).__name__}: {error})',
    )
