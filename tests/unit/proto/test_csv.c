#include "config/limits.h"
#include "core/base/mem.h"
#include "proto/csv.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

/* What a reader saw, as one text: "1:a|b;3:c|d;" (line, cells), then the error if there was one. */
struct trace {
    struct buf text;
    int stop_with; /* code returned from the second row on, 0 = read all */
    size_t rows;
};

static int trace_row(void *context, const char *const *cells, const size_t *lengths, size_t count,
                     uint64_t line, struct err *err)
{
    struct trace *trace = context;
    buf_printf(&trace->text, "%llu:", (unsigned long long)line);
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_eq(strlen(cells[i]), lengths[i]);
        buf_printf(&trace->text, "%s%s", i ? "|" : "", cells[i]);
    }
    buf_char(&trace->text, ';');
    if (++trace->rows > 1 && trace->stop_with)
        return err_set(err, (enum err_code)trace->stop_with, "line 2", "stopped");
    return 0;
}

/* Reads data in pieces of `piece` bytes; the answer is owned by the caller. */
static char *read_pieces(const char *data, size_t size, size_t piece, int stop_with)
{
    struct trace trace = {.stop_with = stop_with};
    buf_init(&trace.text, 1 << 22);
    struct csv_reader *reader;
    struct err err = {0};
    ck_assert_int_eq(csv_reader_new(&reader, trace_row, &trace), 0);
    int code = 0;
    for (size_t at = 0; at < size && !code; at += piece) {
        size_t left = size - at < piece ? size - at : piece;
        char *copy = malloc(left); /* of the exact size, for the address sanitizer */
        memcpy(copy, data + at, left);
        code = csv_reader_feed(reader, copy, left, &err);
        free(copy);
    }
    if (!code)
        code = csv_reader_finish(reader, &err);
    if (code) {
        ck_assert_int_eq(code, err.code);
        ck_assert_str_ne(err.message, "");
        buf_printf(&trace.text, "%s at %s", err_slug(err.code), err.where);
    }
    csv_reader_free(reader);
    buf_char(&trace.text, '\0');
    return trace.text.data;
}

static void reads_n(const char *data, size_t size, const char *expected)
{
    for (size_t piece = 1; piece <= 17; piece++) {
        char *seen = read_pieces(data, size, piece, 0);
        ck_assert_str_eq(seen, expected);
        mem_free(seen);
    }
    char *seen = read_pieces(data, size, size + 1, 0);
    ck_assert_str_eq(seen, expected);
    mem_free(seen);
}

static const struct {
    const char *text, *expected;
} golden[] = {
    {"a", "1:a;"},
    {"a,b\n1,2\n", "1:a|b;2:1|2;"},
    {"a,b\r\n1,2\r\n", "1:a|b;2:1|2;"},
    {"a,b\n1,2", "1:a|b;2:1|2;"},
    {"\xef\xbb\xbf"
     "a,b\n1,2\n",
     "1:a|b;2:1|2;"},
    {"\xef\xbb\xbf\"a\"\n", "1:a;"},
    {"a\n\xef\xbb\xbf\n", "1:a;2:\xef\xbb\xbf;"}, /* a BOM only at the start */
    {"\xef\xbb\x80,b\n", "1:\xef\xbb\x80|b;"},
    {"a,b\n,\n", "1:a|b;2:|;"},
    {"a,b\n,2\n1,\n", "1:a|b;2:|2;3:1|;"},
    {"a\n\"\"\n", "1:a;2:;"},
    {"\n\r\n\na,b\n\n\r\n1,2\n\n", "4:a|b;7:1|2;"},
    {"a,b\n\"x,y\",\"p\"\"q\"\n", "1:a|b;2:x,y|p\"q;"},
    {"a,b\n\"\"\"\",\"\"\"\"\"\"\n", "1:a|b;2:\"|\"\";"},
    {"a,b\n\"1\n2\",\"3\r\n\"\nx,y\n", "1:a|b;2:1\n2|3\r\n;5:x|y;"},
    {"a\n\"\r\"\n", "1:a;2:\r;"},
    {"a b,\tc \n 1 , 2\n", "1:a b|\tc ;2: 1 | 2;"},
    {"\xc3\xa9,\xe2\x82\xac,\xf0\x9f\x90\xa7\n", "1:\xc3\xa9|\xe2\x82\xac|\xf0\x9f\x90\xa7;"},
    {"\"\xc3\xa9\"\n", "1:\xc3\xa9;"},
    /* what is refused, and where */
    {"", "invalid-file at line 1"},
    {"\n\r\n", "invalid-file at line 1"},
    {"\xef\xbb\xbf", "invalid-file at line 1"},
    {"\xef\xbb", "invalid-file at line 1, column 1"},
    {"a,b\n1\n", "1:a|b;invalid-file at line 2, column 2"},
    {"a,b\n1,2,3\n", "1:a|b;invalid-file at line 2, column 3"},
    {"a,b\n1,2,3,4,5", "1:a|b;invalid-file at line 2, column 3"},
    {"a,b\n1,2,", "1:a|b;invalid-file at line 2, column 3"},
    {"a,b\n1,2\n\n3\n", "1:a|b;2:1|2;invalid-file at line 4, column 2"},
    {"a,b\n \n", "1:a|b;invalid-file at line 2, column 2"},
    {"a,b\n1,x\"y\"\n", "1:a|b;invalid-file at line 2, column 2"},
    {"a,b\n1, \"y\"\n", "1:a|b;invalid-file at line 2, column 2"},
    {"a,b\n\"x\"y,2\n", "1:a|b;invalid-file at line 2, column 1"},
    {"a,b\n\"x\" ,2\n", "1:a|b;invalid-file at line 2, column 1"},
    {"a,b\n1,\"2\n3,4\n", "1:a|b;invalid-file at line 2, column 2"},
    {"a\rb\n", "invalid-file at line 1, column 1"},
    {"a\n1\r\r\n", "1:a;invalid-file at line 2, column 1"},
    {"a\n1\r", "1:a;invalid-file at line 2, column 1"},
    {"\ra\n", "invalid-file at line 1, column 1"},
    {"a\n\"1\"\r", "1:a;invalid-file at line 2, column 1"},
    {"a\n\x80\n", "1:a;invalid-file at line 2, column 1"},
    {"a\n\xc0\xaf\n", "1:a;invalid-file at line 2, column 1"},
    {"a\n\xc3\n", "1:a;invalid-file at line 2, column 1"},
    {"a\n\xc3", "1:a;invalid-file at line 2, column 1"},
    {"a\n\xc3,\n", "1:a;invalid-file at line 2, column 1"},
    {"a\n\xe0\x80\x80\n", "1:a;invalid-file at line 2, column 1"},
    {"a\n\xed\xa0\x80\n", "1:a;invalid-file at line 2, column 1"},
    {"a\n\xf4\x90\x80\x80\n", "1:a;invalid-file at line 2, column 1"},
    {"a\n\xf5\x80\x80\x80\n", "1:a;invalid-file at line 2, column 1"},
    {"\xff\xfe"
     "a",
     "invalid-file at line 1, column 1"},
};

START_TEST(files_are_read_the_same_in_pieces_of_any_size)
{
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++)
        reads_n(golden[i].text, strlen(golden[i].text), golden[i].expected);
    reads_n("a,b\n1,\0\n", 8, "1:a|b;invalid-file at line 2, column 2");
    reads_n("a\n\"\0\"\n", 6, "1:a;invalid-file at line 2, column 1");
}
END_TEST

/* head, `count` times `piece`, tail */
static char *repeated(const char *head, const char *piece, size_t count, const char *tail)
{
    struct buf buf;
    buf_init(&buf, 1 << 23);
    buf_text(&buf, head);
    for (size_t i = 0; i < count; i++)
        buf_text(&buf, piece);
    buf_text(&buf, tail);
    buf_char(&buf, '\0');
    ck_assert_int_eq(buf.failed, 0);
    return buf.data;
}

static void ends_with(const char *text, size_t piece, const char *ending)
{
    char *seen = read_pieces(text, strlen(text), piece, 0);
    ck_assert_uint_ge(strlen(seen), strlen(ending));
    ck_assert_str_eq(seen + strlen(seen) - strlen(ending), ending);
    mem_free(seen);
}

static void at_the_limit(const char *head, const char *piece, size_t limit, const char *tail,
                         const char *good, const char *bad)
{
    static const size_t pieces[] = {1000, 65536, SIZE_MAX / 2};
    char *most = repeated(head, piece, limit, tail);
    char *more = repeated(head, piece, limit + 1, tail);
    for (size_t i = 0; i < 3; i++) {
        ends_with(most, pieces[i], good);
        ends_with(more, pieces[i], bad);
    }
    mem_free(most);
    mem_free(more);
}

START_TEST(fields_rows_and_columns_have_limits)
{
    at_the_limit("a\n", "x", LIMIT_CSV_FIELD, "\n", "x;", "invalid-file at line 2, column 1");
    at_the_limit("a\n\"", "\n", LIMIT_CSV_FIELD, "\"\n", "\n;",
                 "invalid-file at line 4098, column 1");
    at_the_limit("a,b\n1,\"", "\"\"", LIMIT_CSV_FIELD, "\"", "\";",
                 "invalid-file at line 2, column 2");
    at_the_limit("a", ",a", LIMIT_CSV_COLUMNS - 1, "\n", "a;",
                 "invalid-file at line 1, column 1025");
    /* 1,023 fields of 1,024 bytes and a comma, and a last one that fills the row to 1 MiB */
    char *field = repeated("", "y", 1024, ",");
    char *row = repeated("", field, 1022, "");
    char *head = repeated("", ",", 1022, "\n");
    char *start = repeated(head, row, 1, "");
    size_t left = LIMIT_CSV_LINE - 1022 * 1025 - 1;
    at_the_limit(start, "z", left, "\n", "z;", "invalid-file at line 2, column 1023");
    mem_free(field);
    mem_free(row);
    mem_free(head);
    mem_free(start);
}
END_TEST

static const char valid[] =
    "\xef\xbb\xbfname,\"a \"\"quoted\"\" one\",n\r\n\xc3\xa9,\"x\r\ny\",1\r\n"
    "\r\n\"\",\",\",-2.5\n,,";

START_TEST(every_prefix_and_every_changed_byte_ends_in_rows_or_an_error)
{
    /* each of the eight bits, then the bytes that mean something */
    static const char others[] = "........,\"\r\n\xc3\xef\x80 ";
    size_t size = sizeof valid - 1;
    for (size_t i = 0; i <= size; i++)
        mem_free(read_pieces(valid, i, i % 5 + 1, 0));
    for (size_t i = 0; i < size; i++) {
        for (size_t j = 0; j < sizeof others; j++) {
            char changed[sizeof valid];
            memcpy(changed, valid, size);
            changed[i] = (char)(j < 8 ? changed[i] ^ (1 << j) : others[j]);
            char *whole = read_pieces(changed, size, size, 0);
            char *parts = read_pieces(changed, size, 3, 0);
            ck_assert_str_eq(whole, parts);
            mem_free(whole);
            mem_free(parts);
        }
    }
}
END_TEST

START_TEST(a_callback_can_stop_the_reader)
{
    for (size_t piece = 1; piece < 20; piece++) {
        char *seen = read_pieces("a\n1\n2\n3\n", 8, piece, ERR_INVALID);
        ck_assert_str_eq(seen, "1:a;2:1;invalid-request at line 2");
        mem_free(seen);
    }
}
END_TEST

START_TEST(an_error_is_repeated)
{
    struct trace trace = {0};
    buf_init(&trace.text, 1000);
    struct csv_reader *reader;
    ck_assert_int_eq(csv_reader_new(&reader, trace_row, &trace), 0);
    struct err first = {0}, second = {0}, third = {0};
    ck_assert_int_eq(csv_reader_feed(reader, "a\"", 2, &first), ERR_FORMAT);
    ck_assert_int_eq(csv_reader_feed(reader, "b\n1\n", 4, &second), ERR_FORMAT);
    ck_assert_int_eq(csv_reader_finish(reader, &third), ERR_FORMAT);
    ck_assert_int_eq(csv_reader_finish(reader, NULL), ERR_FORMAT);
    ck_assert_mem_eq(&second, &first, sizeof first);
    ck_assert_mem_eq(&third, &first, sizeof first);
    ck_assert_uint_eq(trace.rows, 0);
    csv_reader_free(reader);
    csv_reader_free(NULL);
    buf_release(&trace.text);
}
END_TEST

static int count_row(void *context, const char *const *cells, const size_t *lengths, size_t count,
                     uint64_t line, struct err *err)
{
    (void)cells, (void)lengths, (void)count, (void)line, (void)err;
    ++*(size_t *)context;
    return 0;
}

static int read_valid(size_t *rows)
{
    struct csv_reader *reader;
    int code = csv_reader_new(&reader, count_row, rows);
    if (code)
        return code;
    code = csv_reader_feed(reader, valid, sizeof valid - 1, NULL);
    if (!code)
        code = csv_reader_finish(reader, NULL);
    csv_reader_free(reader);
    return code;
}

START_TEST(every_failed_allocation_is_an_error)
{
    size_t after = 0, rows = 0;
    int code = ERR_NOMEM;
    while (code == ERR_NOMEM) {
        rows = 0;
        mem_fail_after(after++);
        code = read_valid(&rows);
        mem_fail_after(SIZE_MAX);
    }
    ck_assert_int_eq(code, 0);
    ck_assert_uint_eq(rows, 4);
    ck_assert_uint_ge(after, 4);
}
END_TEST

START_TEST(written_fields_read_back)
{
    static const char *const texts[] = {"plain", "a,b", "a\"b", "\"", "a\nb", "a\r\nb", "", " x "};
    struct buf out;
    buf_init(&out, 1000);
    for (size_t i = 0; i < 8; i++) {
        if (i)
            buf_char(&out, ',');
        csv_write_text(&out, texts[i]);
    }
    const char expected[] = "plain,\"a,b\",\"a\"\"b\",\"\"\"\",\"a\nb\",\"a\r\nb\",, x ";
    ck_assert_uint_eq(out.size, sizeof expected - 1);
    ck_assert_mem_eq(out.data, expected, out.size);
    reads_n(out.data, out.size, "1:plain|a,b|a\"b|\"|a\nb|a\r\nb|| x ;");
    buf_release(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("csv");
    TCase *tests = tcase_create("csv");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, files_are_read_the_same_in_pieces_of_any_size);
    tcase_add_test(tests, fields_rows_and_columns_have_limits);
    tcase_add_test(tests, every_prefix_and_every_changed_byte_ends_in_rows_or_an_error);
    tcase_add_test(tests, a_callback_can_stop_the_reader);
    tcase_add_test(tests, an_error_is_repeated);
    tcase_add_test(tests, every_failed_allocation_is_an_error);
    tcase_add_test(tests, written_fields_read_back);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
