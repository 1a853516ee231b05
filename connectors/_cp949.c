/* CP949 to UTF-8, by a table of what each pair of bytes stands for; `connectors/cp949.py` makes the table and calls this.
 *
 * A byte below 0x80 stands for itself, any other is the first of two. Nothing is known of CP949 here but that.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ASCII = 0x80, TABLE = 0x80 << 8, STEP = 8 };
#define HIGH_BITS UINT64_C(0x8080808080808080)

/* Writes `size` bytes of CP949 as UTF-8, at most half as many bytes again; the end of it, NULL where a pair stands for
 * nothing or is cut off. `table`: code points of the basic plane, 0 for none, by the first byte less 0x80, then the
 * second. */
static char *transcode(const uint8_t *place, Py_ssize_t size, const uint16_t *table, char *out) {
    const uint8_t *end = place + size;
    while (place < end) {
        uint64_t word;
        if (end - place >= STEP) {
            memcpy(&word, place, STEP);
            if (!(word & HIGH_BITS)) {
                memcpy(out, &word, STEP);
                place += STEP;
                out += STEP;
                continue;
            }
        }
        if (*place < ASCII) {
            *out++ = (char)*place++;
            continue;
        }
        if (end - place < 2)
            return NULL;
        unsigned point = table[(place[0] - ASCII) << 8 | place[1]];
        if (!point)
            return NULL;
        place += 2;
        if (point < 0x800) {
            *out++ = (char)(0xC0 | point >> 6);
        } else {
            *out++ = (char)(0xE0 | point >> 12);
            *out++ = (char)(0x80 | (point >> 6 & 0x3F));
        }
        *out++ = (char)(0x80 | (point & 0x3F));
    }
    return out;
}

static PyObject *to_utf8(PyObject *module, PyObject *arguments) {
    (void)module;
    Py_buffer data, table;
    PyObject *found = NULL;
    if (!PyArg_ParseTuple(arguments, "y*y*:to_utf8", &data, &table))
        return NULL;
    char *text = NULL, *end = NULL;
    if (table.len != TABLE * (Py_ssize_t)sizeof(uint16_t) || (uintptr_t)table.buf % sizeof(uint16_t)) {
        PyErr_SetString(PyExc_ValueError, "the table must have 32,768 numbers of two bytes");
    } else if (data.len > PY_SSIZE_T_MAX / 2 || !(text = malloc((size_t)(data.len + data.len / 2 + 1)))) {
        PyErr_NoMemory();
    } else {
        Py_BEGIN_ALLOW_THREADS
        end = transcode(data.buf, data.len, table.buf, text);
        Py_END_ALLOW_THREADS
        found = end ? PyBytes_FromStringAndSize(text, end - text) : Py_NewRef(Py_None);
    }
    free(text);
    PyBuffer_Release(&data);
    PyBuffer_Release(&table);
    return found;
}

static PyMethodDef methods[] = {
    {"to_utf8", to_utf8, METH_VARARGS,
     "to_utf8(data, table, /)\n--\n\nCP949 as UTF-8, or None where it is none; `pii_guard.connectors.cp949` calls it."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "pii_guard.connectors._cp949",
    .m_doc = "CP949 to UTF-8.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__cp949(void) {
    return PyModuleDef_Init(&definition);
}
