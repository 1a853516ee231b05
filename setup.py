"""The native lexer and transcoder, optional extensions; everything else about the build is in pyproject.toml.

Where there is no C compiler the build goes on without them. They are made for the stable ABI of CPython, so that one
wheel serves every version from 3.11 on; free-threaded interpreters have no such ABI and get none.
"""

import sysconfig

from setuptools import Extension, setup

sources = {
    "pii_guard.engine._lexer": "pii_guard/engine/_lexer.c",
    "pii_guard.connectors._cp949": "connectors/_cp949.c",
}
extensions = [
    Extension(name, [source], define_macros=[("Py_LIMITED_API", "0x030B0000")], py_limited_api=True, optional=True)
    for name, source in sources.items()
]
if sysconfig.get_config_var("Py_GIL_DISABLED"):
    setup()
else:
    setup(ext_modules=extensions, options={"bdist_wheel": {"py_limited_api": "cp311"}})
