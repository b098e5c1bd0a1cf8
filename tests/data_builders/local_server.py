"""A server on this machine that answers every GET alike, for download tests."""

import contextlib
import http.server
import threading


@contextlib.contextmanager
def serve(reply):
  """A local server; `reply(handler)` answers every GET. Yields the URL of a zip."""
  class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
      reply(self)

    def log_message(self, *args):
      pass

  with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) as server:
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
      yield f'http://127.0.0.1:{server.server_port}/archive/set.zip'
    finally:
      server.shutdown()


def answer(handler, data=b'', status=200, kind='application/zip', length=None):
  handler.send_response(status)
  handler.send_header('Content-Type', kind)
  if length is not None:
    handler.send_header('Content-Length', str(length))
  handler.end_headers()
  handler.wfile.write(data)
