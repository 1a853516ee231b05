/* The native lexer: the tokens of `pii_guard/engine/tokens.py`, in one pass over the bytes of a text.
 *
 * Each value is scanned in windows of 64 bytes. Two masks say where its digits and where its colons and at signs are,
 * so that all other bytes cost next to nothing. Each byte is looked at a bounded number of times: the runs around two
 * at signs or colons share no more than their ends, and a group of digits is in six tokens at most.
 *
 * The definition is the oracle in `tests/support/lexer_oracle.py`. Bytes need not be valid UTF-8. Nothing is read
 * outside of the value at hand, but for blocks of 16 bytes, which stay within the text.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* As in tokens.py; the tests hold these to it. */
enum { MIN_DIGITS = 6, MAX_DIGITS = 19, MAX_GROUPS = 6, GROUP_BITS = 5, GAP_BITS = 4 };
enum family { NUMBER, EMAIL, HANGUL, IDENTIFIER, ADDRESS, FAMILIES };
enum gap {
    NONE, HYPHEN, DOT, SPACE, CLOSE, SLASH, SPACED_HYPHEN, CLOSE_SPACE, OPEN, DOT_SPACE, CLOSE_HYPHEN, YEAR, MONTH
};

#define YEAR_MARK "\xeb\x85\x84"            /* 년 */
#define MONTH_MARK "\xec\x9b\x94"           /* 월 */
#define BORN_IN YEAR_MARK "\xec\x83\x9d"    /* 년생 */
enum { WINDOW = 64, RECENT = 8, LONGEST_GAP = 4, LONGEST_TRIM = 3, MANY_COLONS = 6, CLOSE_BY = 5 };
enum { SYLLABLE = 3, MIN_SYLLABLES = 2, MAX_SYLLABLES = 5, HANGUL_FIRST = 0xAC00, HANGUL_LAST = 0xD7A3 };
enum { DOTTED = DOT | DOT << GAP_BITS | DOT << 2 * GAP_BITS, SPOKEN_DATE = YEAR | MONTH << GAP_BITS };

#define DIGITS "0123456789"
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
enum { LOCAL_PART = 1, DOMAIN_PART = 2, ADDRESS_PART = 4, LETTER = 8, WHITE = 16 };
static uint8_t CLASS[256];

typedef struct {
    int64_t start, end, row, mark;
    int32_t shape, gaps;
    uint8_t before, after;
} Token;

typedef struct {
    const uint8_t *start, *end;
    enum gap joint; /* what joins it to the group in front */
} Group;

typedef struct {
    char *items;
    size_t count, room;
} Array;

typedef struct {
    const uint8_t *data, *limit;        /* the text */
    const uint8_t *head, *tail;         /* the value at hand */
    int64_t row;
    size_t seen;                        /* groups of digits in it so far */
    Group recent[RECENT];               /* the last of them, each at its number modulo RECENT */
    const uint8_t *address;             /* up to here, runs of address characters are done with */
    Array tokens[FAMILIES];
    Array groups;                       /* where each group of digits of the text starts */
} Scan;

static void mark(const char *bytes, uint8_t class) {
    for (; *bytes; bytes++)
        CLASS[(uint8_t)*bytes] |= class;
}

static void classify(void) {
    mark(DIGITS LETTERS ".-", LOCAL_PART | DOMAIN_PART);
    mark("_%+", LOCAL_PART);
    mark(DIGITS "ABCDEFabcdef:.", ADDRESS_PART);
    mark(LETTERS, LETTER);
    mark("\t\n\v\f\r ", WHITE);
}

static inline bool is_digit(uint8_t byte) {
    return (uint8_t)(byte - '0') < 10;
}

static inline bool is_tight(enum gap gap) {
    return gap == HYPHEN || gap == DOT;
}

/* The latest group of digits of the value, or with `back` = 2 the one in front of it, and so on. */
static inline const Group *latest(const Scan *scan, size_t back) {
    return &scan->recent[(scan->seen - back) % RECENT];
}

/* Room for one more element of `size` bytes; NULL where memory ends. */
static inline void *append(Array *array, size_t size) {
    if (array->count == array->room) {
        size_t room = array->room ? 2 * array->room : 256;
        if (room > PTRDIFF_MAX / size)
            return NULL;
        char *grown = realloc(array->items, room * size);
        if (!grown)
            return NULL;
        array->items = grown;
        array->room = room;
    }
    return array->items + size * array->count++;
}

/* Which of `width` bytes (1 to 64) are digits, and which are colons or at signs: one bit a byte, the first lowest. */
static inline void look(const Scan *scan, const uint8_t *place, ptrdiff_t width, uint64_t *digits, uint64_t *signs) {
    *digits = *signs = 0;
#ifdef __SSE2__
    for (ptrdiff_t at = 0; at < width; at += 16) {
        uint8_t padded[16] = {0};
        const uint8_t *block = place + at;
        if (scan->limit - block < 16)
            block = memcpy(padded, block, (size_t)(scan->limit - block));
        __m128i bytes = _mm_loadu_si128((const __m128i *)block), above = _mm_sub_epi8(bytes, _mm_set1_epi8('0'));
        __m128i digit = _mm_cmpeq_epi8(_mm_min_epu8(above, _mm_set1_epi8(9)), above);
        __m128i colon = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(':')), sign = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('@'));
        *digits |= (uint64_t)_mm_movemask_epi8(digit) << at;
        *signs |= (uint64_t)_mm_movemask_epi8(_mm_or_si128(colon, sign)) << at;
    }
    uint64_t inside = ~UINT64_C(0) >> (WINDOW - width); /* the last block may reach beyond the value */
    *digits &= inside;
    *signs &= inside;
#else
    (void)scan;
    for (ptrdiff_t at = 0; at < width; at++) {
        *digits |= (uint64_t)is_digit(place[at]) << at;
        *signs |= (uint64_t)(place[at] == ':' || place[at] == '@') << at;
    }
#endif
}

/* The place of the lowest bit that is set, 64 where none is. */
static inline int lowest(uint64_t bits) {
#ifdef __GNUC__
    return bits ? __builtin_ctzll(bits) : WINDOW;
#else
    int place = 0;
    while (place < WINDOW && !(bits >> place & 1))
        place++;
    return place;
#endif
}

static bool emit(Scan *scan, enum family family, const uint8_t *start, const uint8_t *end, int32_t shape, int32_t gaps,
                 int64_t mark) {
    Token *token = append(&scan->tokens[family], sizeof *token);
    if (!token)
        return false;
    uint8_t before = start > scan->head ? start[-1] : 0, after = end < scan->tail ? *end : 0;
    token->start = start - scan->data;
    token->end = end - scan->data;
    token->row = scan->row;
    token->shape = shape;
    token->gaps = gaps;
    token->mark = mark;
    token->before = is_digit(before) ? '0' : before;
    token->after = is_digit(after) ? '0' : after;
    return true;
}

static bool born_in(const uint8_t *place, const uint8_t *tail) {
    return tail - place >= (ptrdiff_t)strlen(BORN_IN) && !memcmp(place, BORN_IN, strlen(BORN_IN));
}

/* The number tokens that end with the latest group; nothing tight is behind it. */
static bool numbers(Scan *scan) {
    const uint8_t *end = latest(scan, 1)->end;
    ptrdiff_t digits = 0;
    int32_t shape = 0, gaps = 0;
    for (size_t count = 1; count <= MAX_GROUPS; count++) {
        const Group *group = latest(scan, count);
        ptrdiff_t length = group->end - group->start;
        digits += length;
        if (digits > MAX_DIGITS)
            break;
        shape = shape << GROUP_BITS | (int32_t)length;
        bool enough = digits >= MIN_DIGITS || (count == 4 && gaps == DOTTED) || (count == 3 && gaps == SPOKEN_DATE)
            || (count == 1 && (digits == 2 || digits == 4) && born_in(end, scan->tail));
        int64_t first = (int64_t)(scan->groups.count - count);
        if (enough && !is_tight(group->joint) && !emit(scan, NUMBER, group->start, end, shape, gaps, first))
            return false;
        if (group->joint == NONE)
            break;
        gaps = gaps << GAP_BITS | (int32_t)group->joint;
    }
    return true;
}

/* What the `width` bytes (1 to LONGEST_GAP) between two groups are. */
static enum gap gap_of(const uint8_t *gap, ptrdiff_t width) {
    if (width >= SYLLABLE && (width == SYLLABLE || gap[SYLLABLE] == ' ')) {
        if (!memcmp(gap, YEAR_MARK, SYLLABLE))
            return YEAR;
        if (!memcmp(gap, MONTH_MARK, SYLLABLE))
            return MONTH;
        return width == 3 && !memcmp(gap, " - ", 3) ? SPACED_HYPHEN : NONE;
    }
    if (width == 2 && !gap[0])
        return NONE; /* its code would be that of one byte */
    switch (width == 1 ? gap[0] : width == 2 ? gap[0] << 8 | gap[1] : 0) {
    case '-': return HYPHEN;
    case '.': return DOT;
    case ' ': return SPACE;
    case ')': return CLOSE;
    case '/': return SLASH;
    case '(': return OPEN;
    case '-' << 8 | ' ':
    case ' ' << 8 | '-': return SPACED_HYPHEN;
    case ')' << 8 | ' ': return CLOSE_SPACE;
    case ' ' << 8 | '(': return OPEN;
    case '.' << 8 | ' ': return DOT_SPACE;
    case ')' << 8 | '-': return CLOSE_HYPHEN;
    default: return NONE;
    }
}

/* The identifier that ends with the latest group, if there is one. */
static bool identifier(Scan *scan) {
    const uint8_t *first = latest(scan, 1)->start;
    ptrdiff_t length = latest(scan, 1)->end - first;
    int32_t shape = 8;
    if (length == 4 && scan->seen > 1) {
        const Group *front = latest(scan, 2);
        if (front->end - front->start != 3 || first - front->end != 1 || !(CLASS[*front->end] & LETTER))
            return true;
        first = front->start;
        shape = 3 | 4 << GROUP_BITS;
    } else if (length != 8)
        return true;
    if (first == scan->head || !(CLASS[first[-1]] & LETTER))
        return true;
    return emit(scan, IDENTIFIER, first - 1, latest(scan, 1)->end, shape, 0, first - scan->data);
}

/* The e-mail around an at sign, if there is one. */
static bool email(Scan *scan, const uint8_t *at) {
    const uint8_t *start = at, *end = at + 1;
    while (start > scan->head && CLASS[start[-1]] & LOCAL_PART)
        start--;
    while (end < scan->tail && CLASS[*end] & DOMAIN_PART)
        end++;
    for (int cut = 0; cut < LONGEST_TRIM && end > at + 1 && (end[-1] == '.' || end[-1] == '-'); cut++)
        end--;
    bool local = start < at || (at > scan->head && at[-1] >= 0x80);
    bool domain = end > at + 1 || (at + 1 < scan->tail && at[1] >= 0x80);
    return !local || !domain || emit(scan, EMAIL, start, end, 0, 0, at - scan->data);
}

/* The address in the run of address characters around a colon, if it has colons enough. */
static bool address(Scan *scan, const uint8_t *colon) {
    if (colon < scan->address)
        return true;
    const uint8_t *start = colon, *end = colon, *last = NULL;
    while (start > scan->head && CLASS[start[-1]] & ADDRESS_PART)
        start--;
    bool found = false;
    for (int close = 0; end < scan->tail && CLASS[*end] & ADDRESS_PART; end++) {
        if (*end != ':')
            continue;
        close = last && end - last <= CLOSE_BY ? close + 1 : 1;
        found |= close == MANY_COLONS || (last && end - last == 1);
        last = end;
    }
    scan->address = end;
    if (!found)
        return true;
    if (end[-1] == '.')
        end--;
    if (end[-1] == ':' && end[-2] != ':')
        end--;
    if (start[0] == ':' && start[1] != ':')
        start++;
    return emit(scan, ADDRESS, start, end, 0, 0, start - scan->data);
}

static bool is_syllable(const uint8_t *place) {
    int point = (place[0] & 0x0F) << 12 | (place[1] & 0x3F) << 6 | (place[2] & 0x3F);
    return (place[0] & 0xF0) == 0xE0 && (place[1] & 0xC0) == 0x80 && (place[2] & 0xC0) == 0x80
        && point >= HANGUL_FIRST && point <= HANGUL_LAST;
}

/* The value, if it is a few Hangul syllables with at most one blank inside. */
static bool hangul(Scan *scan) {
    const uint8_t *start = scan->head, *end = scan->tail, *blank = NULL;
    while (start < end && CLASS[*start] & WHITE)
        start++;
    if (start == end || (*start & 0xF0) != 0xE0)
        return true;
    while (CLASS[end[-1]] & WHITE)
        end--;
    if (end - start > MAX_SYLLABLES * SYLLABLE + 1)
        return true;
    int syllables = 0;
    for (const uint8_t *place = start; place < end; place += SYLLABLE, syllables++) {
        if (*place == ' ' && !blank)
            blank = place++;
        if (end - place < SYLLABLE || !is_syllable(place))
            return true;
    }
    if (syllables < MIN_SYLLABLES || syllables > MAX_SYLLABLES)
        return true;
    return emit(scan, HANGUL, start, end, syllables, 0, blank ? blank - scan->data : -1);
}

/* One more group of digits: what it joins to is known now, so that tokens can end with the group in front of it. */
static inline bool add_group(Scan *scan, const uint8_t *start, const uint8_t *end) {
    enum gap joint = NONE;
    if (scan->seen) {
        const uint8_t *gap = latest(scan, 1)->end;
        joint = start - gap > LONGEST_GAP ? NONE : gap_of(gap, start - gap);
        if (!is_tight(joint) && !numbers(scan))
            return false;
    }
    int64_t *position = append(&scan->groups, sizeof *position);
    if (!position)
        return false;
    *position = start - scan->data;
    scan->recent[scan->seen++ % RECENT] = (Group){start, end, joint};
    return identifier(scan);
}

/* All tokens of the value between `head` and `tail`; false where memory ends. */
static bool scan_value(Scan *scan) {
    const uint8_t *done = scan->head; /* digits before it are in a group already */
    ptrdiff_t width;
    scan->seen = 0;
    scan->address = scan->head;
    if (!hangul(scan))
        return false;
    for (const uint8_t *place = scan->head; place < scan->tail; place += width) {
        uint64_t digits, signs;
        width = scan->tail - place < WINDOW ? scan->tail - place : WINDOW;
        look(scan, place, width, &digits, &signs);
        if (done > place)
            digits = done - place < WINDOW ? digits & ~UINT64_C(0) << (done - place) : 0;
        while (digits) {
            uint64_t carried = digits + (digits & -digits); /* the first run is gone, a bit is set behind it */
            const uint8_t *start = place + lowest(digits), *end = place + lowest(carried);
            while (end - place >= WINDOW && end < scan->tail && is_digit(*end))
                end++;
            if (!add_group(scan, start, end))
                return false;
            done = end;
            digits &= carried;
        }
        for (; signs; signs &= signs - 1) {
            const uint8_t *at = place + lowest(signs);
            if (!(*at == '@' ? email : address)(scan, at))
                return false;
        }
    }
    return !scan->seen || numbers(scan);
}

enum outcome { DONE, NO_MEMORY, BAD_OFFSETS };

/* All tokens of a text. `offsets` need not be aligned. */
static enum outcome scan_text(Scan *scan, const char *offsets, Py_ssize_t rows) {
    int64_t head, tail, size = scan->limit - scan->data;
    memcpy(&head, offsets, sizeof head);
    for (scan->row = 0; scan->row < rows; scan->row++, head = tail) {
        memcpy(&tail, offsets + sizeof tail * (size_t)(scan->row + 1), sizeof tail);
        if (head < 0 || tail < head || tail > size)
            return BAD_OFFSETS;
        scan->head = scan->data + head;
        scan->tail = scan->data + tail;
        if (head < tail && !scan_value(scan))
            return NO_MEMORY;
    }
    return DONE;
}

/* The arrays of the last scan, for the next one: fresh pages cost more than to fill them. The GIL guards them; where two
 * scans run at once, the second one starts with none. What is large is not kept. */
static Array spare[FAMILIES + 1];
enum { KEPT = 4 << 20 };

static void borrow(Array *array, Array *from) {
    *array = (Array){from->items, 0, from->room};
    *from = (Array){0};
}

static void give_back(Array *array, Array *to, size_t size) {
    if (to->items || array->room > KEPT / size)
        free(array->items);
    else
        *to = *array;
}

/* Tokens as columns one after the other, six of eight bytes and two of one byte an element, families in blocks. */
static void write_columns(const Scan *scan, size_t total, char *columns) {
    int64_t *wide = (int64_t *)columns;
    uint8_t *narrow = (uint8_t *)(wide + 6 * total);
    for (int family = 0; family < FAMILIES; family++) {
        const Token *token = (const Token *)scan->tokens[family].items;
        for (size_t left = scan->tokens[family].count; left; left--, token++, wide++, narrow++) {
            wide[0] = token->start;
            wide[total] = token->end;
            wide[2 * total] = token->row;
            wide[3 * total] = token->shape;
            wide[4 * total] = token->gaps;
            wide[5 * total] = token->mark;
            narrow[0] = token->before;
            narrow[total] = token->after;
        }
    }
}

/* (columns, how many tokens each family has, groups), all as bytes. */
static PyObject *result(const Scan *scan) {
    int64_t blocks[FAMILIES];
    size_t total = 0, each = 6 * sizeof(int64_t) + 2 * sizeof(uint8_t);
    for (int family = 0; family < FAMILIES; family++)
        total += (size_t)(blocks[family] = (int64_t)scan->tokens[family].count);
    if (total > PY_SSIZE_T_MAX / each)
        return PyErr_NoMemory();
    PyObject *columns = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(total * each));
    if (!columns)
        return NULL;
    write_columns(scan, total, PyBytes_AsString(columns));
    return Py_BuildValue("(Ny#y#)", columns, (char *)blocks, (Py_ssize_t)sizeof blocks,
                         scan->groups.items ? scan->groups.items : "",
                         (Py_ssize_t)(scan->groups.count * sizeof(int64_t)));
}

static PyObject *scan(PyObject *module, PyObject *arguments) {
    (void)module;
    Py_buffer data, offsets;
    if (!PyArg_ParseTuple(arguments, "y*y*:scan", &data, &offsets))
        return NULL;
    Scan state = {.data = data.buf, .limit = (const uint8_t *)data.buf + data.len};
    enum outcome outcome = BAD_OFFSETS;
    for (int family = 0; family < FAMILIES; family++)
        borrow(&state.tokens[family], &spare[family]);
    borrow(&state.groups, &spare[FAMILIES]);
    if (offsets.len >= (Py_ssize_t)sizeof(int64_t) && offsets.len % (Py_ssize_t)sizeof(int64_t) == 0) {
        Py_BEGIN_ALLOW_THREADS
        outcome = scan_text(&state, offsets.buf, offsets.len / (Py_ssize_t)sizeof(int64_t) - 1);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&data);
    PyBuffer_Release(&offsets);
    PyObject *found = NULL;
    if (outcome == DONE)
        found = result(&state);
    else if (outcome == NO_MEMORY)
        PyErr_NoMemory();
    else
        PyErr_SetString(PyExc_ValueError, "offsets must be int64, ascending and within the data");
    for (int family = 0; family < FAMILIES; family++)
        give_back(&state.tokens[family], &spare[family], sizeof(Token));
    give_back(&state.groups, &spare[FAMILIES], sizeof(int64_t));
    return found;
}

static int prepare(PyObject *module) {
    (void)module;
    classify();
    return 0;
}

static PyMethodDef methods[] = {
    {"scan", scan, METH_VARARGS,
     "scan(data, offsets, /)\n--\n\nThe tokens of a text as columns; `pii_guard.engine.lexer_native` reads them."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{Py_mod_exec, prepare}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "pii_guard.engine._lexer",
    .m_doc = "The native lexer.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__lexer(void) {
    return PyModuleDef_Init(&definition);
}
