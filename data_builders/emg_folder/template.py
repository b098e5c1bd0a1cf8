"""Patterns of paths: 'P{subject}/{label}_{repetition}.csv', with * and **/.

Not regular expressions: those of a hostile or careless manifest can run for ever. A pattern here
takes time in proportion to its length times the square of the path's, at worst.
"""

import re

FIELDS = ('subject', 'session', 'repetition', 'label')
ANY, FOLDERS = '*', '**/'
MAX_PARTS = 40

_PART = re.compile(r'\{(?P<field>[^{}]*)\}|(?P<star>\*\*/|\*)|(?P<text>[^{}*]+)|(?P<stray>.)',
                   re.DOTALL)


class Template:
  """A pattern, matched against whole paths with '/' between folders.

  {subject}, {session} and {label} stand for one or more characters within one folder or file name,
  {repetition} for digits, * for any characters within one name, **/ for any folders or none. Each
  takes as little as it can.
  """

  def __init__(self, text: str):
    """Raises ValueError that says what is wrong with `text`."""
    self.text, self.fields = text, ()
    names = text.split('/')
    if not text or '..' in names or '.' in names or '' in names or '\\' in text:
      raise ValueError(f'got {text!r}, expected a relative path below the manifest, with "/" and'
                       ' without ".."')
    self._parts: list[tuple[str, str]] = []
    for match in _PART.finditer(text):
      kind = match.lastgroup
      if kind == 'stray':
        raise ValueError(f'got {text!r}, expected each brace to belong to one of'
                         f' {["{%s}" % field for field in FIELDS]}')
      if kind == 'field' and (match['field'] not in FIELDS or match['field'] in self.fields):
        raise ValueError(f'got {{{match["field"]}}} in {text!r}, expected each of'
                         f' {["{%s}" % field for field in FIELDS]} at most once (and * elsewhere)')
      if kind == 'field':
        self.fields += (match['field'],)
      self._parts.append((kind, match[kind]))
    if len(self._parts) > MAX_PARTS:
      raise ValueError(f'got {len(self._parts)} parts, expected at most {MAX_PARTS}')

  def match(self, path: str) -> dict[str, str] | None:
    """Field -> its text in `path`; None if the path is another."""
    found: dict[str, str] = {}
    return found if self._match(path, 0, 0, found, set()) else None

  def _match(self, path: str, part: int, at: int, found: dict[str, str],
             failed: set[tuple[int, int]]) -> bool:
    """Whether the parts from `part` on match path[at:]; fills `found` from the end."""
    if part == len(self._parts):
      return at == len(path)
    if (part, at) in failed:
      return False
    kind, text = self._parts[part]
    for stop in self._stops(path, kind, text, at):
      if self._match(path, part + 1, stop, found, failed):
        if kind == 'field':
          found[text] = path[at:stop]
        return True
    failed.add((part, at))
    return False

  @staticmethod
  def _stops(path: str, kind: str, text: str, at: int):
    """Ends of what one part may take, nearest first."""
    if kind == 'text':
      if path.startswith(text, at):
        yield at + len(text)
    elif text == FOLDERS:
      yield at
      yield from (i + 1 for i in range(at, len(path)) if path[i] == '/')
    else:
      if kind == 'star':
        yield at
      for i in range(at, len(path)):
        if path[i] == '/' or text == 'repetition' and not '0' <= path[i] <= '9':
          return
        yield i + 1
