"""The native lexer, an optional extension; everything else about the build is in pyproject.toml.

Where there is no C compiler the build goes on without it. It is made for the stable ABI of CPython, so that one wheel
serves every version from 3.11 on; free-threaded interpreters have no such ABI and get none.
"""

import sysconfig

from setuptools import Extension, setup

lexer = Extension(
    "pii_guard.engine._lexer",
    ["pii_guard/engine/_lexer.c"],
    define_macros=[("Py_LIMITED_API", "0x030B0000")],
    py_limited_api=True,
    optional=True,
)
if sysconfig.get_config_var("Py_GIL_DISABLED"):
    setup()
else:
    setup(ext_modules=[lexer], options={"bdist_wheel": {"py_limited_api": "cp311"}})
