"""Reads a JSON document in hexadecimal from each line and writes what it is, so that any program writes it alike."""
import json
import struct
import sys


def number(text):
    return struct.pack(">d", float(text)).hex()


class Number(str):
    pass


def dump(value):
    if value is None:
        return "n"
    if value is True:
        return "t"
    if value is False:
        return "f"
    if isinstance(value, Number):
        return "#" + number(value)
    if isinstance(value, float):
        return "#" + struct.pack(">d", value).hex()
    if isinstance(value, str):
        return '"' + value.encode("utf-16-be", "surrogatepass").hex()
    if isinstance(value, list):
        return "[" + "".join(dump(item) + "," for item in value) + "]"
    members = sorted((key.encode("utf-16-be", "surrogatepass").hex(), item) for key, item in value.items())
    return "{" + "".join(key + ":" + dump(item) + "," for key, item in members) + "}"


for line in sys.stdin:
    try:
        text = bytes.fromhex(line).decode("utf-8")
        print(dump(json.loads(text, parse_int=Number, parse_float=Number)))
    except (ValueError, RecursionError):
        print("-")
