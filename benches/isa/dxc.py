"""dxc.py FOLDER: compiles every NAME.dxc.hlsl of the folder with the DXC library that $DXC names.

DXC's interface is COM, which ctypes can call: no compiler and no package is needed.
The exit status is 0 only if code was made of all.
"""

import ctypes as c
import os
import pathlib
import sys
import uuid

METHODS = 3  # of IUnknown, which every object starts with (older builds for Linux have 5)
LIBRARY = ("6245d6af-66e0-48fd-80b4-4d271796748c", "e5204dc7-d18c-4c3c-bdfb-851673980fe7")
COMPILER = ("73e22d93-e6ce-47f3-b5bf-f0664f39c1b0", "8c210bf3-011f-4422-8d70-6f9acb8db617")
UTF8 = c.c_uint32(65001)
NONE = c.c_uint32(0)
HRESULT = c.c_int32  # of 32 bits on Linux too
OPTIONS = (c.c_wchar_p * 1)("-enable-16bit-types")  # as wgpu compiles for this shader model


def call(thing, method, result, *args):
    """Calls a COM object's method, counted behind IUnknown's."""
    table = c.cast(c.cast(thing, c.POINTER(c.c_void_p))[0], c.POINTER(c.c_void_p))
    kind = c.CFUNCTYPE(result, c.c_void_p, *map(type, args))
    return kind(table[METHODS + method])(thing, *args)


def get(thing, method, *args):
    """Calls a method whose last argument takes the answer."""
    answer = c.c_void_p()
    status = call(thing, method, HRESULT, *args, c.cast(c.byref(answer), c.c_void_p))
    if status != 0:
        raise OSError(f"DXC: method {method}: {status & 0xFFFFFFFF:#x}")
    return answer


def create(dxc, ids):
    guids = [(c.c_byte * 16).from_buffer_copy(uuid.UUID(i).bytes_le) for i in ids]
    answer = c.c_void_p()
    status = dxc.DxcCreateInstance(guids[0], guids[1], c.byref(answer))
    if status != 0:
        raise OSError(f"DXC: DxcCreateInstance: {status & 0xFFFFFFFF:#x}")
    return answer


def content(blob):
    if not blob.value:
        return b""
    return c.string_at(call(blob, 0, c.c_void_p), call(blob, 1, c.c_size_t))


def compile_file(library, compiler, file):
    """DXC's messages if it made no code, else nothing."""
    text = file.read_bytes()
    entry = text.split(b"\n", 1)[0].removeprefix(b"// ").decode()
    pinned = c.create_string_buffer(text, len(text))
    source = get(library, 3, c.cast(pinned, c.c_void_p), c.c_uint32(len(text)), UTF8)
    result = get(
        compiler, 0, source, c.c_wchar_p(file.name), c.c_wchar_p(entry), c.c_wchar_p("cs_6_2"),
        c.cast(OPTIONS, c.c_void_p), c.c_uint32(len(OPTIONS)), c.c_void_p(0), NONE, c.c_void_p(0),
    )  # fmt: skip
    status = HRESULT(-1)
    call(result, 0, HRESULT, c.cast(c.byref(status), c.c_void_p))
    if status.value == 0 and content(get(result, 1))[:4] == b"DXBC":
        return ""
    return content(get(result, 2)).decode(errors="replace").strip("\0\n") or "no code"


def main(folder):
    dxc = c.CDLL(os.environ["DXC"])
    library, compiler = create(dxc, LIBRARY), create(dxc, COMPILER)
    files = sorted(pathlib.Path(folder).glob("*.dxc.hlsl"))
    failed = 0
    for file in files:
        if message := compile_file(library, compiler, file):
            print(f"DXC: {file.name}: {message}")
            failed += 1
    print(f"DXC: {len(files)} shaders, {failed} failed")
    return failed > 0 or not files


sys.exit(main(sys.argv[1]))
