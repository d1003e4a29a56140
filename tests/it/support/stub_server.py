"""An MCP server on standard input and output that misbehaves on request.

Arguments: the eras it speaks (legacy, modern, both), or how it fails at start (crash, deaf, silent, exits).
The tools are what the tests need; each answers with a JSON text made by hand, so that every byte is known.
"""

import json
import os
import subprocess
import sys

mode = sys.argv[1] if len(sys.argv) > 1 else "legacy"
out = sys.stdout.buffer
kept = []
seen = []
questions = {}

if mode == "crash":
    sys.stderr.write("the configuration is missing\n")
    sys.exit(3)
if mode == "deaf":
    import signal

    signal.pause()


def say(text):
    out.write(text.encode() if isinstance(text, str) else text)
    out.write(b"\n")
    out.flush()


def answer(request, result):
    say('{"jsonrpc":"2.0","id":%s,"result":%s}' % (json.dumps(request["id"]), result))


def refuse(request, code):
    say('{"jsonrpc":"2.0","id":%s,"error":{"code":%d,"message":"no"}}' % (json.dumps(request["id"]), code))


def ask(request, method):
    questions["q%d" % len(questions)] = request
    say('{"jsonrpc":"2.0","id":"q%d","method":"%s","params":{}}' % (len(questions) - 1, method))


def call(request, line):
    params = request["params"]
    tool, arguments = params["name"], params.get("arguments", {})
    if tool == "echo":
        answer(request, json.dumps({"line": line}))
    elif tool == "exact":
        say('{ "id" : %s, "result": {"n": 12345678901234567890123, "n": 1.0, "s": "\\ud800"}, "jsonrpc":"2.0", "x":[] } '
            % json.dumps(request["id"]))
    elif tool == "progress":
        token = json.dumps(params["_meta"]["progressToken"])
        for step in range(3):
            say('{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":%d}}'
                % (token, step))
        say('{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"unrelated"}}')
        answer(request, "{}")
    elif tool == "ask":
        ask(request, arguments["method"])
    elif tool == "die":
        out.write(b'{"jsonrpc":"2.0","id":1,"res')
        out.flush()
        os._exit(4)
    elif tool == "hang":
        pass
    elif tool == "keep":
        kept.append(request)
    elif tool == "release":
        for waiting in kept:
            answer(waiting, "{}")
        kept.clear()
        answer(request, "{}")
    elif tool == "twice":
        answer(request, '"first"')
        answer(request, '"second"')
    elif tool == "garbage":
        for junk in (b"", b"Listening...", b"\xff\xfe{", b'{"level":"info","msg":"x"}', b"[]", b"null"):
            say(junk)
        answer(request, "{}")
    elif tool == "noise":
        for _ in range(64):
            os.write(2, b"x" * 65536)
        answer(request, "{}")
    elif tool == "huge":
        chunk = b"x" * (1 << 20)
        try:
            for _ in range(80):
                out.write(chunk)
            out.flush()
        except BrokenPipeError:
            os._exit(5)
    elif tool == "fork":
        # stdin, stdout and stderr stay those of the upstream: a grandchild must not keep the link open.
        holder = open(arguments["hold"], "w")
        subprocess.Popen(["sleep", "1000"], pass_fds=[holder.fileno()])
        answer(request, "{}")
    elif tool == "env":
        answer(request, json.dumps(dict(os.environ)))
    elif tool == "pid":
        answer(request, str(os.getpid()))
    elif tool == "seen":
        answer(request, json.dumps(seen))
    else:
        refuse(request, -32602)


for line in sys.stdin:
    line = line.rstrip("\n")
    message = json.loads(line)
    method = message.get("method")
    if method is None:
        asked = questions.pop(message["id"])
        answer(asked, json.dumps({"told": line}))
    elif "id" not in message:
        seen.append(line)
    elif method == "initialize":
        if mode == "modern":
            refuse(message, -32601)
        else:
            version = message["params"]["protocolVersion"]
            answer(message, '{"protocolVersion":"%s","capabilities":{},"serverInfo":{"name":"stub","version":"1"}}' % version)
    elif method == "server/discover":
        if mode == "silent":
            continue
        if mode == "exits":
            sys.exit(6)
        if mode in ("modern", "both"):
            answer(message, '{"supportedVersions":["2026-07-28"],"capabilities":{},"ttlMs":0,"cacheScope":"private"}')
        else:
            refuse(message, -32601)
    elif method == "ping":
        answer(message, "{}")
    elif method == "tools/call":
        call(message, line)
    else:
        refuse(message, -32601)
