#include "proto/npy.h"

#include "config/limits.h"
#include "core/base/check.h"

#include <stdbool.h>
#include <string.h>

/* NEP 1, "A simple file format for NumPy arrays". */
static const char magic[] = "\x93NUMPY";
enum { MAGIC_SIZE = 6, VERSION_SIZE = 2, DATA_ALIGN = 64 };

static const struct {
    const char *descr;
    enum npy_type type;
    size_t size;
} types[] = {
    {"'<f4'", NPY_F4, 4}, {"'<f8'", NPY_F8, 8}, {"'|i1'", NPY_I1, 1}, {"'<i2'", NPY_I2, 2},
    {"'<i4'", NPY_I4, 4}, {"'<i8'", NPY_I8, 8}, {"'|u1'", NPY_U1, 1}, {"'<u2'", NPY_U2, 2},
    {"'<u4'", NPY_U4, 4}, {"'<u8'", NPY_U8, 8},
};

/* The header's text, a Python literal, and what is left of it. */
struct text {
    const char *at, *end;
};

static int fail(struct err *err, const char *message)
{
    return err_set(err, ERR_FORMAT, "header", "%s", message);
}

static void skip_blanks(struct text *text)
{
    while (text->at < text->end && (*text->at == ' ' || *text->at == '\n'))
        text->at++;
}

/* Takes the word if it comes next. */
static bool take(struct text *text, const char *word)
{
    size_t size = strlen(word);
    skip_blanks(text);
    if ((size_t)(text->end - text->at) < size || memcmp(text->at, word, size) != 0)
        return false;
    text->at += size;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int read_extent(struct text *text, uint64_t *out, struct err *err)
{
    uint64_t value = 0;
    skip_blanks(text);
    if (text->at == text->end || !is_digit(*text->at))
        return fail(err, "the shape must be a tuple of whole numbers");
    for (; text->at < text->end && is_digit(*text->at); text->at++)
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (unsigned)(*text->at - '0'), &value))
            return fail(err, "a number in the shape is too large");
    *out = value;
    return 0;
}

/* "(3, 2)", "(3,)" */
static int read_shape(struct npy_header *header, struct text *text, struct err *err)
{
    bool comma = true;
    if (!take(text, "("))
        return fail(err, "the shape must be a tuple of whole numbers");
    while (!take(text, ")")) {
        if (!comma)
            return fail(err, "the shape must be a tuple of whole numbers");
        if (header->rank == 3)
            return fail(err, "an array of 1 to 3 dimensions is wanted, this one has more");
        int code = read_extent(text, &header->shape[header->rank++], err);
        if (code)
            return code;
        comma = take(text, ",");
    }
    if (header->rank == 0)
        return fail(err, "an array of 1 to 3 dimensions is wanted, this is a single number");
    if (header->rank == 1 && !comma)
        return fail(err, "the shape must be a tuple of whole numbers");
    return 0;
}

static int refuse_descr(const struct text *text, struct err *err)
{
    const char *at = text->at;
    if (at == text->end || *at != '\'')
        return fail(err, "a structured array; only arrays of plain numbers are read");
    size_t size = (size_t)(text->end - at);
    if (size > 1 && at[1] == '>')
        return fail(err, "a big-endian array; save it with .astype('<f4')");
    if (size > 2 && at[2] == 'O')
        return fail(err, "an array of Python objects; only arrays of plain numbers are read");
    return fail(err, "an array type that is not read; these are: float32, float64, and signed "
                     "and unsigned integers of 8 to 64 bits");
}

static int read_descr(struct npy_header *header, struct text *text, struct err *err)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (take(text, types[i].descr)) {
            header->type = types[i].type;
            header->item_size = types[i].size;
            return 0;
        }
    }
    skip_blanks(text);
    return refuse_descr(text, err);
}

static int read_order(struct npy_header *header, struct text *text, struct err *err)
{
    (void)header;
    if (take(text, "False"))
        return 0;
    if (take(text, "True"))
        return fail(err, "Fortran order; save it with numpy.ascontiguousarray(a)");
    return fail(err, "fortran_order must be True or False");
}

static const struct {
    const char *name;
    int (*read)(struct npy_header *header, struct text *text, struct err *err);
} keys[] = {
    {"'descr'", read_descr},
    {"'fortran_order'", read_order},
    {"'shape'", read_shape},
};

enum { KEY_COUNT = sizeof keys / sizeof keys[0] };

static int read_key(struct npy_header *header, bool *seen, struct text *text, struct err *err)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (!take(text, keys[i].name))
            continue;
        if (seen[i] || !take(text, ":"))
            break;
        seen[i] = true;
        return keys[i].read(header, text, err);
    }
    return fail(err, "the header must hold 'descr', 'fortran_order' and 'shape' once each");
}

static int read_dictionary(struct npy_header *header, struct text *text, struct err *err)
{
    bool seen[KEY_COUNT] = {0};
    bool comma = true;
    if (!take(text, "{"))
        return fail(err, "the header must be a Python dictionary");
    while (!take(text, "}")) {
        if (!comma)
            return fail(err, "the entries of the header must be parted by commas");
        int code = read_key(header, seen, text, err);
        if (code)
            return code;
        comma = take(text, ",");
    }
    for (size_t i = 0; i < KEY_COUNT; i++)
        if (!seen[i])
            return fail(err, "the header must hold 'descr', 'fortran_order' and 'shape'");
    skip_blanks(text);
    return text->at == text->end ? 0 : fail(err, "text behind the header's dictionary");
}

/* Rows times columns times bytes must be what the file holds. */
static int check_size(const struct npy_header *header, uint64_t file_size, struct err *err)
{
    uint64_t bytes = header->item_size;
    for (size_t i = 0; i < header->rank; i++) {
        if (header->shape[i] == 0)
            return fail(err, "the array is empty");
        if (__builtin_mul_overflow(bytes, header->shape[i], &bytes))
            return fail(err, "the array is larger than any file");
    }
    uint64_t held = file_size - header->header_size;
    if (bytes != held)
        return err_set(err, ERR_FORMAT, "", "the shape asks for %llu bytes, the file holds %llu",
                       (unsigned long long)bytes, (unsigned long long)held);
    return 0;
}

/* Sets the place of the header's text. */
static int read_preamble(struct text *text, const unsigned char *bytes, size_t size,
                         struct err *err)
{
    if (size < MAGIC_SIZE || memcmp(bytes, magic, MAGIC_SIZE) != 0)
        return err_set(err, ERR_FORMAT, "", "not an NPY file: its first bytes are not \\x93NUMPY");
    if (size < MAGIC_SIZE + VERSION_SIZE + 4)
        return fail(err, "the file ends within the header");
    unsigned major = bytes[6], minor = bytes[7];
    if (major < 1 || major > 3 || minor != 0)
        return fail(err, "an NPY version that is not 1.0, 2.0 or 3.0");
    size_t length = bytes[8] | (size_t)bytes[9] << 8;
    size_t start = MAGIC_SIZE + VERSION_SIZE + 2;
    if (major > 1) {
        length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
        start += 2;
    }
    if (length > LIMIT_NPY_HEADER)
        return err_set(err, ERR_FORMAT, "header", "a header may have at most %d bytes",
                       LIMIT_NPY_HEADER);
    if (length > size - start)
        return fail(err, "the file ends within the header");
    text->at = (const char *)bytes + start;
    text->end = text->at + length;
    return 0;
}

int npy_read_header(struct npy_header *out, const unsigned char *bytes, size_t size,
                    uint64_t file_size, struct err *err)
{
    struct npy_header header = {0};
    struct text text;
    check(size <= file_size);
    int code = read_preamble(&text, bytes, size, err);
    if (code)
        return code;
    header.header_size = (size_t)((const unsigned char *)text.end - bytes);
    code = read_dictionary(&header, &text, err);
    if (!code)
        code = check_size(&header, file_size, err);
    if (!code)
        *out = header;
    return code;
}

static uint64_t read_little(const unsigned char *bytes, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

static double float_of(uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    float value;
    memcpy(&value, &low, sizeof value);
    return (double)value;
}

static double double_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

double npy_item(const unsigned char *data, enum npy_type type, size_t i)
{
    size_t size = types[type].size;
    uint64_t bits = read_little(data + i * size, size);
    switch (type) {
    case NPY_F4:
        return float_of(bits);
    case NPY_F8:
        return double_of(bits);
    case NPY_I1:
        return (int8_t)bits;
    case NPY_I2:
        return (int16_t)bits;
    case NPY_I4:
        return (int32_t)bits;
    case NPY_I8:
        return (double)(int64_t)bits;
    default:
        return (double)bits; /* unsigned, of any size */
    }
}

void npy_write_header(struct buf *out, const uint64_t *shape, size_t rank)
{
    size_t start = out->size;
    buf_append(out, magic, MAGIC_SIZE);
    buf_append(out, "\x01\x00\x00\x00", 4); /* version 1.0, and room for the length */
    buf_text(out, "{'descr': '<f4', 'fortran_order': False, 'shape': (");
    for (size_t i = 0; i < rank; i++)
        buf_printf(out, "%s%llu", i ? ", " : "", (unsigned long long)shape[i]);
    buf_text(out, rank == 1 ? ",), }" : "), }");
    while (!out->failed && (out->size - start + 1) % DATA_ALIGN)
        buf_char(out, ' ');
    buf_char(out, '\n');
    if (out->failed)
        return;
    size_t length = out->size - start - (MAGIC_SIZE + VERSION_SIZE + 2);
    out->data[start + 8] = (char)(length & 0xff);
    out->data[start + 9] = (char)(length >> 8);
}
