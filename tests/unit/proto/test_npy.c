#include "config/limits.h"
#include "proto/npy.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 4096 };

struct file {
    unsigned char bytes[FILE_MAX];
    size_t size;
};

static struct file load(const char *name)
{
    char path[500];
    struct file file;
    snprintf(path, sizeof path, "%s/npy/%s.npy", TEST_REFERENCE, name);
    FILE *stream = fopen(path, "rb");
    ck_assert_msg(stream != NULL, "%s", path);
    file.size = fread(file.bytes, 1, sizeof file.bytes, stream);
    fclose(stream);
    return file;
}

/* Reads from memory of exactly that size, for the address sanitizer. */
static int read_exact(struct npy_header *header, const unsigned char *bytes, size_t size,
                      uint64_t file_size, struct err *err)
{
    unsigned char *copy = malloc(size ? size : 1);
    memcpy(copy, bytes, size);
    int code = npy_read_header(header, copy, size, file_size, err);
    free(copy);
    return code;
}

static double expected(char kind, size_t i)
{
    if (kind == 'f')
        return 0.25 * (double)i - 1;
    return 7 * (double)i - (kind == 'i' ? 20 : 0);
}

static const struct {
    const char *name;
    enum npy_type type;
    char kind;
    size_t rank;
    uint64_t shape[3];
} good[] = {
    {"good_f4", NPY_F4, 'f', 2, {3, 2}},       {"good_f8", NPY_F8, 'f', 2, {3, 2}},
    {"good_i1", NPY_I1, 'i', 2, {3, 2}},       {"good_i2", NPY_I2, 'i', 2, {3, 2}},
    {"good_i4", NPY_I4, 'i', 2, {3, 2}},       {"good_i8", NPY_I8, 'i', 2, {3, 2}},
    {"good_u1", NPY_U1, 'u', 2, {3, 2}},       {"good_u2", NPY_U2, 'u', 2, {3, 2}},
    {"good_u4", NPY_U4, 'u', 2, {3, 2}},       {"good_u8", NPY_U8, 'u', 2, {3, 2}},
    {"good_rank1", NPY_F4, 'f', 1, {5}},       {"good_rank3", NPY_F4, 'f', 3, {2, 3, 2}},
    {"good_version2", NPY_F4, 'f', 2, {3, 2}}, {"good_version3", NPY_F4, 'f', 2, {3, 2}},
};

START_TEST(arrays_that_numpy_wrote_are_read)
{
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct file file = load(good[i].name);
        struct npy_header header;
        struct err err = {0};
        int code = read_exact(&header, file.bytes, file.size, file.size, &err);
        ck_assert_msg(code == 0, "%s: %s", good[i].name, err.message);
        ck_assert_int_eq(header.type, good[i].type);
        ck_assert_uint_eq(header.rank, good[i].rank);
        size_t items = 1;
        for (size_t j = 0; j < header.rank; j++) {
            ck_assert_uint_eq(header.shape[j], good[i].shape[j]);
            items *= header.shape[j];
        }
        ck_assert_uint_eq(header.header_size + items * header.item_size, file.size);
        for (size_t j = 0; j < items; j++)
            ck_assert(npy_item(file.bytes + header.header_size, header.type, j) ==
                      expected(good[i].kind, j));
    }
}
END_TEST

START_TEST(the_header_alone_is_enough)
{
    struct file file = load("good_f4");
    struct npy_header header;
    ck_assert_int_eq(read_exact(&header, file.bytes, 128, file.size, NULL), 0);
    ck_assert_uint_eq(header.header_size, 128);
    ck_assert_int_eq(read_exact(&header, file.bytes, 128, file.size + 1, NULL), ERR_FORMAT);
    ck_assert_int_eq(read_exact(&header, file.bytes, 128, file.size - 1, NULL), ERR_FORMAT);
}
END_TEST

START_TEST(arrays_that_are_no_numbers_are_refused_by_name)
{
    static const struct {
        const char *name, *message;
    } bad[] = {
        {"bad_big_endian", "big-endian"}, {"bad_fortran", "Fortran"},
        {"bad_object", "Python objects"}, {"bad_structured", "structured"},
        {"bad_complex", "not read"},      {"bad_bool", "not read"},
        {"bad_text", "not read"},         {"bad_rank0", "single number"},
        {"bad_rank4", "1 to 3"},          {"bad_empty", "empty"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct file file = load(bad[i].name);
        struct npy_header header;
        struct err err = {0};
        ck_assert_int_eq(read_exact(&header, file.bytes, file.size, file.size, &err), ERR_FORMAT);
        ck_assert_msg(strstr(err.message, bad[i].message), "%s: %s", bad[i].name, err.message);
    }
}
END_TEST

/* A version 1 file with that dictionary and 24 bytes of data. */
static size_t compose(unsigned char *out, const char *dictionary)
{
    size_t length = strlen(dictionary);
    memcpy(out, "\x93NUMPY\x01\x00", 8);
    out[8] = (unsigned char)(length & 0xff);
    out[9] = (unsigned char)(length >> 8);
    memcpy(out + 10, dictionary, length);
    memset(out + 10 + length, 0, 24);
    return 10 + length + 24;
}

static const struct {
    const char *dictionary;
    int code;
} dictionaries[] = {
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }", 0},
    {"{'shape':(3,2),'descr':'<f4','fortran_order':False}\n", 0},
    {" { 'descr' : '<f4' , 'fortran_order' : False , 'shape' : ( 6 , ) , } \n", 0},
    {"", ERR_FORMAT},
    {"{", ERR_FORMAT},
    {"{}", ERR_FORMAT},
    {"{'descr': '<f4', 'fortran_order': False}", ERR_FORMAT},
    {"{'descr': '<f4', 'shape': (3, 2)}", ERR_FORMAT},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), 'x': 1}", ERR_FORMAT},
    {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (3, 2)}", ERR_FORMAT},
    {"{'descr': '<f4' 'fortran_order': False, 'shape': (3, 2)}", ERR_FORMAT},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2)} x", ERR_FORMAT},
    {"{'descr': '<f4', 'fortran_order': 0, 'shape': (3, 2)}", ERR_FORMAT},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 3)}", ERR_FORMAT},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (6)}", ERR_FORMAT},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': 6}", ERR_FORMAT},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (,)}", ERR_FORMAT},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (3 2)}", ERR_FORMAT},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (-3, -2)}", ERR_FORMAT},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (3., 2)}", ERR_FORMAT},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2", ERR_FORMAT},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (65536, 65536)}", ERR_FORMAT},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", ERR_FORMAT},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387910,)}", ERR_FORMAT},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551622,)}", ERR_FORMAT},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (0, 18446744073709551615)}", ERR_FORMAT},
    {"{'descr': <f4, 'fortran_order': False, 'shape': (3, 2)}", ERR_FORMAT},
    {"{'descr': '<f4, 'fortran_order': False, 'shape': (3, 2)}", ERR_FORMAT},
    {"{'descr': ' <f4', 'fortran_order': False, 'shape': (3, 2)}", ERR_FORMAT},
    {"{'descr': '<f16', 'fortran_order': False, 'shape': (3, 2)}", ERR_FORMAT},
    {"{'descr': '", ERR_FORMAT},
    {"{'descr': '>", ERR_FORMAT},
    {"['descr', '<f4']", ERR_FORMAT},
};

START_TEST(headers_are_read_strictly)
{
    for (size_t i = 0; i < sizeof dictionaries / sizeof dictionaries[0]; i++) {
        unsigned char bytes[FILE_MAX];
        struct npy_header header;
        struct err err = {0};
        size_t size = compose(bytes, dictionaries[i].dictionary);
        int code = read_exact(&header, bytes, size, size, &err);
        ck_assert_msg(code == dictionaries[i].code, "%s: %s", dictionaries[i].dictionary,
                      err.message);
    }
}
END_TEST

START_TEST(a_header_may_not_be_longer_than_its_limit_or_the_file)
{
    static unsigned char bytes[LIMIT_NPY_HEADER + 100];
    static char dictionary[LIMIT_NPY_HEADER + 2];
    struct npy_header header;
    memset(dictionary, ' ', LIMIT_NPY_HEADER + 1);
    const char text[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (6,)}";
    memcpy(dictionary, text, sizeof text - 1);
    size_t size = compose(bytes, dictionary);
    ck_assert_int_eq(read_exact(&header, bytes, size, size, NULL), ERR_FORMAT);
    dictionary[LIMIT_NPY_HEADER] = '\0';
    size = compose(bytes, dictionary);
    ck_assert_int_eq(read_exact(&header, bytes, size, size, NULL), 0);
    ck_assert_int_eq(read_exact(&header, bytes, 5000, size, NULL), ERR_FORMAT);
    memcpy(bytes + 6, "\x02\x00\xff\xff\xff\xff", 6);
    ck_assert_int_eq(read_exact(&header, bytes, size, size, NULL), ERR_FORMAT);
    memcpy(bytes + 6, "\x04\x00", 2);
    ck_assert_int_eq(read_exact(&header, bytes, size, size, NULL), ERR_FORMAT);
    memcpy(bytes + 6, "\x01\x01", 2);
    ck_assert_int_eq(read_exact(&header, bytes, size, size, NULL), ERR_FORMAT);
}
END_TEST

START_TEST(no_prefix_of_a_file_is_a_file)
{
    static const char *const names[] = {"good_f4", "good_version2"};
    for (size_t i = 0; i < 2; i++) {
        struct file file = load(names[i]);
        for (size_t size = 0; size < file.size; size++) {
            struct npy_header header;
            struct err err = {0};
            ck_assert_int_eq(read_exact(&header, file.bytes, size, size, &err), ERR_FORMAT);
            ck_assert_str_ne(err.message, "");
        }
    }
}
END_TEST

START_TEST(every_changed_byte_is_an_error_or_a_header_that_fits)
{
    struct file file = load("good_f8");
    for (size_t i = 0; i < file.size; i++) {
        unsigned char old = file.bytes[i];
        for (int c = 0; c < 256; c++) {
            struct npy_header header;
            file.bytes[i] = (unsigned char)c;
            if (read_exact(&header, file.bytes, file.size, file.size, NULL))
                continue;
            uint64_t bytes = header.item_size;
            for (size_t j = 0; j < header.rank; j++)
                bytes *= header.shape[j];
            ck_assert_uint_eq(header.header_size + bytes, file.size);
        }
        file.bytes[i] = old;
    }
}
END_TEST

START_TEST(written_headers_read_back)
{
    static const uint64_t shape[] = {100000000, 4096, 7};
    for (size_t rank = 1; rank <= 3; rank++) {
        struct buf out;
        struct npy_header header;
        uint64_t bytes = 4;
        buf_init(&out, 1000);
        buf_text(&out, "before"); /* it appends */
        npy_write_header(&out, shape, rank);
        size_t size = out.size - 6;
        ck_assert_uint_eq(size % 64, 0);
        for (size_t i = 0; i < rank; i++)
            bytes *= shape[i];
        ck_assert_int_eq(
            read_exact(&header, (unsigned char *)out.data + 6, size, size + bytes, NULL), 0);
        ck_assert_int_eq(header.type, NPY_F4);
        ck_assert_uint_eq(header.rank, rank);
        ck_assert_mem_eq(header.shape, shape, rank * sizeof shape[0]);
        buf_release(&out);
    }
    struct buf full;
    buf_init(&full, 40);
    npy_write_header(&full, shape, 2);
    ck_assert_int_eq(full.failed, ERR_TOO_LARGE);
    buf_release(&full);
}
END_TEST

START_TEST(a_written_header_is_numpys_own)
{
    struct file file = load("good_f4");
    struct buf out;
    buf_init(&out, 1000);
    npy_write_header(&out, (const uint64_t[]){3, 2}, 2);
    /* NumPy pads to more than it needs, so that a file can grow: the text must be the same */
    size_t text = strcspn((const char *)file.bytes + 10, "}") + 11;
    ck_assert_mem_eq(out.data + 10, file.bytes + 10, text - 10);
    buf_release(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("npy");
    TCase *tests = tcase_create("npy");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, arrays_that_numpy_wrote_are_read);
    tcase_add_test(tests, the_header_alone_is_enough);
    tcase_add_test(tests, arrays_that_are_no_numbers_are_refused_by_name);
    tcase_add_test(tests, headers_are_read_strictly);
    tcase_add_test(tests, a_header_may_not_be_longer_than_its_limit_or_the_file);
    tcase_add_test(tests, no_prefix_of_a_file_is_a_file);
    tcase_add_test(tests, every_changed_byte_is_an_error_or_a_header_that_fits);
    tcase_add_test(tests, written_headers_read_back);
    tcase_add_test(tests, a_written_header_is_numpys_own);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
