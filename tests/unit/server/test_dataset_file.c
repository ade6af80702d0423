#include "server/store/dataset_file.h"

#include "core/base/mem.h"
#include "proto/npy.h"
#include "server/store/signature.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fd;
static struct err err;
static struct schema schema;
static char sha256[HASH_TEXT];

static void set_up(void)
{
    char path[] = "/tmp/test-dataset-XXXXXX";
    fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    unlink(path);
    err = (struct err){0};
    schema = (struct schema){0};
}

static void tear_down(void)
{
    schema_release(&schema);
    close(fd);
}

static int describe(const void *bytes, size_t size)
{
    struct dataset_file file = {.fd = fd, .size = size};
    ck_assert_int_eq(ftruncate(fd, 0), 0);
    ck_assert_int_eq((int)lseek(fd, 0, SEEK_SET), 0);
    ck_assert_int_eq(files_write(fd, bytes, size, NULL), 0);
    int code = dataset_file_sniff(fd, size, &file.format, &err);
    return code ? code : dataset_file_describe(&file, &schema, sha256, &err);
}

static int describe_text(const char *text)
{
    return describe(text, strlen(text));
}

/* A float32 array of that shape in `out`. */
static void make_array(struct buf *out, const uint64_t *shape, size_t rank, const float *values)
{
    size_t count = 1;
    for (size_t i = 0; i < rank; i++)
        count *= (size_t)shape[i];
    buf_init(out, 1 << 24);
    npy_write_header(out, shape, rank);
    buf_append(out, values, count * sizeof *values);
    ck_assert_int_eq(out->failed, 0);
}

static int describe_array(const uint64_t *shape, size_t rank, const float *values)
{
    struct buf bytes;
    make_array(&bytes, shape, rank, values);
    int code = describe(bytes.data, bytes.size);
    buf_release(&bytes);
    return code;
}

START_TEST(csv_gets_schema_and_hash)
{
    ck_assert_msg(describe_text("a,kind\n1,x\n3,y\n,x\n") == 0, "%s", err.message);
    ck_assert_uint_eq(schema.rows, 3);
    ck_assert_uint_eq(schema.count, 2);
    ck_assert_int_eq(schema.columns[0].kind, COLUMN_INTEGER);
    ck_assert_uint_eq(schema.columns[0].missing, 1);
    ck_assert_double_eq_tol(schema.columns[0].mean, 2, 1e-12);
    ck_assert_int_eq(schema.columns[1].kind, COLUMN_CATEGORICAL);
    ck_assert_str_eq(sha256, "bfe5e227d521424d2e02f482f2d192516f2f5a26e0b38cb25360aa99883495e8");
}
END_TEST

START_TEST(table_longer_than_a_piece_is_read_whole)
{
    enum { ROWS = 200000 };
    struct buf text;
    buf_init(&text, 1 << 24);
    buf_text(&text, "n,half\n");
    for (int i = 0; i < ROWS; i++)
        buf_printf(&text, "%d,%d.5\n", i, i);
    ck_assert_int_eq(describe(text.data, text.size), 0);
    buf_release(&text);
    ck_assert_uint_eq(schema.rows, ROWS);
    ck_assert_double_eq_tol(schema.columns[0].mean, (ROWS - 1) / 2.0, 1e-6);
    ck_assert_double_eq_tol(schema.columns[1].max, ROWS - 0.5, 1e-9);
}
END_TEST

START_TEST(ragged_row_is_named_by_its_line)
{
    ck_assert_int_eq(describe_text("a,b\n1,2\n3\n"), ERR_FORMAT);
    ck_assert_msg(strstr(err.where, "line 3") != NULL, "%s", err.where);
}
END_TEST

START_TEST(table_without_header_is_refused)
{
    ck_assert_int_eq(describe_text("1,2\n3,4\n"), ERR_FORMAT);
    ck_assert_str_eq(err.where, "line 1");
    ck_assert_ptr_nonnull(strstr(err.message, "names of the columns"));
}
END_TEST

START_TEST(nothing_and_only_a_header_are_refused)
{
    ck_assert_int_eq(describe_text(""), ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.message, "empty"));
    err = (struct err){0};
    ck_assert_int_eq(describe_text("a,b\n"), ERR_FORMAT);
    err = (struct err){0};
    ck_assert_int_eq(describe_text("\n\n\n"), ERR_FORMAT);
}
END_TEST

START_TEST(other_formats_are_refused_by_name)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *name;
    } cases[] = {
        {"PK\x03\x04xxxx", 8, "zip"},
        {"\x80\x02}q", 4, "pickle"},
        {"PAR1", 4, "Parquet"},
        {"\x1f\x8b\x08", 3, "gzip"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        err = (struct err){0};
        ck_assert_int_eq(describe(cases[i].bytes, cases[i].size), ERR_UNSUPPORTED);
        ck_assert_msg(strstr(err.message, cases[i].name) != NULL, "%s", err.message);
    }
}
END_TEST

/* The first bytes of a checkpoint whose header has 640, or 896, bytes. */
START_TEST(the_length_of_a_header_is_no_pickle)
{
    ck_assert_ptr_null(signature_foreign((const unsigned char *)"\x80\2\0\0\0\0\0\0", 8));
    ck_assert_ptr_null(signature_foreign((const unsigned char *)"\x80\3\0\0\0\0\0\0", 8));
    ck_assert_ptr_nonnull(signature_foreign((const unsigned char *)"\x80\2c__mai", 8));
    ck_assert_ptr_nonnull(signature_foreign((const unsigned char *)"\x80\2.", 3));
}
END_TEST

START_TEST(array_has_numeric_columns_with_exact_statistics)
{
    static const float values[] = {1, 0.1F, 2, 0.2F, 3, 0.3F};
    ck_assert_msg(describe_array((uint64_t[]){3, 2}, 2, values) == 0, "%s", err.message);
    ck_assert_uint_eq(schema.rows, 3);
    ck_assert_uint_eq(schema.count, 2);
    ck_assert_str_eq(schema.columns[0].name, "x0");
    ck_assert_str_eq(schema.columns[1].name, "x1");
    ck_assert_int_eq(schema.columns[0].kind, COLUMN_NUMERIC);
    ck_assert_double_eq_tol(schema.columns[0].mean, 2, 1e-12);
    ck_assert_double_eq_tol(schema.columns[1].min, 0.1, 1e-12);
    ck_assert_double_eq_tol(schema.columns[1].max, 0.3, 1e-12);
}
END_TEST

/* Rows as text: their line, their cells. */
struct seen {
    char text[256];
    size_t length;
};

static int note_row(void *context, const char *const *cells, const size_t *lengths, size_t count,
                    uint64_t line, struct err *unused)
{
    struct seen *seen = context;
    char *text = seen->text + seen->length;
    size_t room = sizeof seen->text - seen->length;
    (void)unused;
    seen->length += (size_t)snprintf(text, room, "%d:", (int)line);
    for (size_t i = 0; i < count; i++)
        seen->length +=
            (size_t)snprintf(seen->text + seen->length, sizeof seen->text - seen->length, "%.*s%c",
                             (int)lengths[i], cells[i], i + 1 < count ? ',' : ';');
    return 0;
}

START_TEST(largest_integers_of_an_array_are_passed_on_as_numbers)
{
    static const uint64_t values[] = {UINT64_MAX, 1ull << 63, 7};
    struct seen seen = {.length = 0};
    struct buf bytes;
    buf_init(&bytes, 1 << 16);
    npy_write_header(&bytes, (uint64_t[]){3}, 1);
    memcpy(strstr(bytes.data + 10, "<f4"), "<u8", 3);
    buf_append(&bytes, values, sizeof values);
    ck_assert_int_eq(describe(bytes.data, bytes.size), 0);
    ck_assert_double_eq(schema.columns[0].max, 0x1p64);
    const struct dataset_file file = {.fd = fd, .size = bytes.size, .format = DATASET_NPY};
    ck_assert_int_eq(dataset_file_scan(&file, note_row, &seen, &err), 0);
    ck_assert_str_eq(seen.text, "1:x0;2:1.8446744073709552e+19;3:9.223372036854776e+18;4:7;");
    buf_release(&bytes);
}
END_TEST

START_TEST(overrides_say_the_kinds_of_an_array)
{
    static const struct column_override labels = {"x1", COLUMN_CATEGORICAL};
    static const struct column_override unknown = {"y", COLUMN_NUMERIC};
    static const float values[] = {1, 0, 2.5F, 1, 3, 1};
    struct buf bytes;
    make_array(&bytes, (uint64_t[]){3, 2}, 2, values);
    ck_assert_int_eq(describe(bytes.data, bytes.size), 0);
    ck_assert_uint_eq(schema.columns[0].decimals, DECIMALS_FREE);
    schema_release(&schema);
    struct dataset_file file = {.fd = fd,
                                .size = bytes.size,
                                .format = DATASET_NPY,
                                .overrides = &labels,
                                .override_count = 1};
    ck_assert_int_eq(dataset_file_describe(&file, &schema, NULL, &err), 0);
    ck_assert_int_eq(schema.columns[0].kind, COLUMN_NUMERIC);
    ck_assert_int_eq(schema.columns[1].kind, COLUMN_CATEGORICAL);
    ck_assert_str_eq(schema.columns[1].levels[1], "1");
    schema_release(&schema);
    file.overrides = &unknown;
    ck_assert_int_eq(dataset_file_describe(&file, &schema, NULL, &err), ERR_INVALID);
    ck_assert_str_eq(err.where, "/columns");
    buf_release(&bytes);
}
END_TEST

START_TEST(array_of_rank_one_is_one_column)
{
    static const float values[] = {1, 2, NAN, 3};
    ck_assert_int_eq(describe_array((uint64_t[]){4}, 1, values), 0);
    ck_assert_uint_eq(schema.count, 1);
    ck_assert_uint_eq(schema.columns[0].missing, 1);
    ck_assert_uint_eq(schema.columns[0].present, 3);
}
END_TEST

START_TEST(infinite_number_is_named_by_row_and_column)
{
    static const float values[] = {1, 2, 3, INFINITY};
    ck_assert_int_eq(describe_array((uint64_t[]){2, 2}, 2, values), ERR_FORMAT);
    ck_assert_str_eq(err.where, "row 1, column x1");
}
END_TEST

START_TEST(arrays_of_other_shapes_are_refused)
{
    static const float values[8];
    ck_assert_int_eq(describe_array((uint64_t[]){2, 2, 2}, 3, values), ERR_FORMAT);
    err = (struct err){0};
    ck_assert_int_eq(describe_array((uint64_t[]){0, 2}, 2, values), ERR_FORMAT);
    err = (struct err){0};
    ck_assert_int_eq(describe_array((uint64_t[]){2, 0}, 2, values), ERR_FORMAT);
}
END_TEST

START_TEST(array_longer_than_a_piece_is_read_whole)
{
    enum { ROWS = 50000, COLUMNS = 3 };
    float *values = mem_alloc(ROWS * COLUMNS, sizeof *values);
    for (size_t i = 0; i < ROWS * COLUMNS; i++)
        values[i] = (float)i;
    ck_assert_int_eq(describe_array((uint64_t[]){ROWS, COLUMNS}, 2, values), 0);
    mem_free(values);
    ck_assert_uint_eq(schema.rows, ROWS);
    ck_assert_double_eq(schema.columns[2].max, ROWS * COLUMNS - 1);
}
END_TEST

START_TEST(every_prefix_of_an_array_is_refused)
{
    static const float values[] = {1, 2, 3, 4};
    struct buf bytes;
    make_array(&bytes, (uint64_t[]){2, 2}, 2, values);
    for (size_t size = 6; size < bytes.size; size++) {
        err = (struct err){0};
        ck_assert_int_eq(describe(bytes.data, size), ERR_FORMAT);
        ck_assert(err.message[0]);
    }
    buf_release(&bytes);
}
END_TEST

START_TEST(memory_that_runs_out_is_reported)
{
    int code = ERR_NOMEM;
    for (size_t after = 0; code; after++) {
        err = (struct err){0};
        mem_fail_after(after);
        code = describe_text("a,kind\n1,x\n3,y\n");
        mem_fail_after(SIZE_MAX);
        ck_assert(!code || code == ERR_NOMEM);
        ck_assert_uint_lt(after, 200);
    }
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("dataset_file");
    TCase *tcase = tcase_create("dataset_file");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, csv_gets_schema_and_hash);
    tcase_add_test(tcase, table_longer_than_a_piece_is_read_whole);
    tcase_add_test(tcase, ragged_row_is_named_by_its_line);
    tcase_add_test(tcase, table_without_header_is_refused);
    tcase_add_test(tcase, nothing_and_only_a_header_are_refused);
    tcase_add_test(tcase, other_formats_are_refused_by_name);
    tcase_add_test(tcase, the_length_of_a_header_is_no_pickle);
    tcase_add_test(tcase, array_has_numeric_columns_with_exact_statistics);
    tcase_add_test(tcase, largest_integers_of_an_array_are_passed_on_as_numbers);
    tcase_add_test(tcase, overrides_say_the_kinds_of_an_array);
    tcase_add_test(tcase, array_of_rank_one_is_one_column);
    tcase_add_test(tcase, infinite_number_is_named_by_row_and_column);
    tcase_add_test(tcase, arrays_of_other_shapes_are_refused);
    tcase_add_test(tcase, array_longer_than_a_piece_is_read_whole);
    tcase_add_test(tcase, every_prefix_of_an_array_is_refused);
    tcase_add_test(tcase, memory_that_runs_out_is_reported);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return unit_run(make_suite());
}
