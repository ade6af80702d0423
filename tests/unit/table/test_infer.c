#include "core/base/mem.h"
#include "core/table/infer.h"
#include "tests/unit/table/table_help.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct schema infer_text(const char *text, const struct table_override *overrides)
{
    struct schema schema = {0};
    struct err err = {0};
    int code = table_infer(&schema, text, overrides, &err);
    ck_assert_msg(code == 0, "%s: %s", err.where, err.message);
    return schema;
}

START_TEST(kinds_follow_the_cells)
{
    static const struct {
        const char *cells; /* one a line */
        enum column_kind kind;
        unsigned decimals;
    } cases[] = {
        {"1\n2\n-3\n", COLUMN_INTEGER, 0},
        {"1\n2\n+3\n007\n", COLUMN_INTEGER, 0},
        {"1\n2.50\n3\n", COLUMN_NUMERIC, 2},
        {"1\n5.\n", COLUMN_NUMERIC, 0},
        {".5\n", COLUMN_NUMERIC, 1},
        {"1\n1e3\n", COLUMN_NUMERIC, DECIMALS_FREE},
        {"0.123456789012345\n", COLUMN_NUMERIC, 15},
        {"0.1234567890123456\n", COLUMN_NUMERIC, DECIMALS_FREE},
        {"1\n\nNA\n2\n", COLUMN_INTEGER, 0},
        {" 1\n2 \n\t3\n", COLUMN_INTEGER, 0},
        {"0\n1\n0\n1\n", COLUMN_INTEGER, 0},
        {"1\n2\nx\n", COLUMN_CATEGORICAL, 0},
        {"1.5\n.\n", COLUMN_CATEGORICAL, 0},
        {"1e39\n2\n", COLUMN_CATEGORICAL, 0}, /* no float32 */
        {"0x10\n", COLUMN_CATEGORICAL, 0},
        {"inf\n1\n", COLUMN_CATEGORICAL, 0},
        {"1,5\n", COLUMN_INTEGER, 0}, /* the second cell is another column's */
        {"true\nfalse\n", COLUMN_CATEGORICAL, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[200];
        snprintf(text, sizeof text, "c\n%s", cases[i].cells);
        struct schema schema = infer_text(text, NULL);
        ck_assert_msg(schema.columns[0].kind == cases[i].kind, "%s", cases[i].cells);
        ck_assert_uint_eq(schema.columns[0].decimals, cases[i].decimals);
        schema_release(&schema);
    }
}
END_TEST

START_TEST(statistics_are_those_of_the_cells_that_are_present)
{
    struct schema schema = infer_text("a,b,c\n1000000001,x,2.5\n1000000003,,2.5\nNA,x,2.5\n"
                                      "1000000008,y,2.5\n",
                                      NULL);
    const struct column *a = &schema.columns[0];
    ck_assert_uint_eq(schema.rows, 4);
    ck_assert_uint_eq(a->present, 3);
    ck_assert_uint_eq(a->missing, 1);
    ck_assert_double_eq_tol(a->mean, 1000000004, 1e-6);
    ck_assert_double_eq_tol(a->std, sqrt(26.0 / 3), 1e-6);
    ck_assert(a->min == 1000000001 && a->max == 1000000008);
    const struct column *b = &schema.columns[1];
    ck_assert_uint_eq(b->level_count, 2);
    ck_assert_str_eq(b->levels[0], "x");
    ck_assert_uint_eq(b->level_rows[0], 2);
    ck_assert_str_eq(b->levels[1], "y");
    ck_assert_uint_eq(b->level_rows[1], 1);
    ck_assert_uint_eq(b->missing, 1);
    ck_assert(schema.columns[2].std == 1 && schema.columns[2].mean == 2.5);
    ck_assert_uint_eq(schema_width(&schema), 4);
    ck_assert_uint_eq(schema_find(&schema, "c"), 2);
    ck_assert_uint_eq(schema_find(&schema, "d"), 3);
    ck_assert_uint_eq(column_level(b, "y", 1), 1);
    ck_assert_uint_eq(column_level(b, "yz", 1), 1);
    ck_assert_uint_eq(column_level(b, "yz", 2), 2);
    ck_assert_uint_eq(column_level(b, "", 0), 2);
    schema_release(&schema);
}
END_TEST

START_TEST(a_user_can_override_a_kind)
{
    const struct table_override overrides[] = {
        {"year", COLUMN_CATEGORICAL}, {"n", COLUMN_NUMERIC}, {NULL, COLUMN_NUMERIC}};
    struct schema schema = infer_text("year,n\n2007,1\n2008,2\n 2007,3\n2007,4\n", overrides);
    ck_assert_int_eq(schema.columns[0].kind, COLUMN_CATEGORICAL);
    ck_assert_uint_eq(schema.columns[0].level_count, 3);
    ck_assert_str_eq(schema.columns[0].levels[2], " 2007"); /* exact text */
    ck_assert_uint_eq(schema.columns[0].level_rows[0], 2);
    ck_assert_int_eq(schema.columns[1].kind, COLUMN_NUMERIC);
    ck_assert_uint_eq(schema.columns[1].decimals, 0);
    schema_release(&schema);
}
END_TEST

/* A column of the numbers 0 .. count - 1 behind a prefix. */
static char *numbered(const char *name, size_t count, const char *prefix)
{
    char *text = malloc(count * 16 + 100);
    size_t at = (size_t)snprintf(text, 100, "%s\n", name);
    for (size_t i = 0; i < count; i++)
        at += (size_t)snprintf(text + at, 16, "%s%zu\n", prefix, i);
    return text;
}

START_TEST(a_number_may_have_many_values_and_a_category_may_not)
{
    struct schema schema = {0};
    char *many = numbered("id", LIMIT_LEVELS + 1, "");
    const struct table_override to_category[] = {{"id", COLUMN_CATEGORICAL}, {0}};
    schema = infer_text(many, NULL);
    ck_assert_int_eq(schema.columns[0].kind, COLUMN_INTEGER);
    schema_release(&schema);
    struct err err = {0};
    ck_assert_int_eq(table_infer(&schema, many, to_category, &err), ERR_FORMAT);
    ck_assert_str_eq(err.where, "column id");
    free(many);

    char *levels = numbered("id", LIMIT_LEVELS, "v");
    schema = infer_text(levels, NULL);
    ck_assert_uint_eq(schema.columns[0].level_count, LIMIT_LEVELS);
    ck_assert_uint_eq(column_level(&schema.columns[0], "v511", 4), 511);
    schema_release(&schema);
    free(levels);

    char *ids = numbered("id", LIMIT_LEVELS + 1, "v");
    err = (struct err){0};
    ck_assert_int_eq(table_infer(&schema, ids, NULL, &err), ERR_FORMAT);
    ck_assert_str_eq(err.where, "column id");
    ck_assert_ptr_nonnull(strstr(err.message, "line 2"));
    ck_assert_ptr_nonnull(strstr(err.message, "leave the column out"));
    free(ids);
}
END_TEST

START_TEST(a_category_that_starts_with_many_numbers_is_refused)
{
    struct err err = {0};
    struct schema schema;
    char *text = numbered("id", 600, "");
    memcpy(strchr(text, '\0') - 4, "59x", 3);
    ck_assert_int_eq(table_infer(&schema, text, NULL, &err), ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.message, "line 601"));
    free(text);
}
END_TEST

static const struct {
    const char *text;
    struct table_override override;
    enum err_code code;
    const char *where, *message;
} refused[] = {
    {"a,,c\n1,2,3\n", {0}, ERR_FORMAT, "line 1, column 2", "no name"},
    {" \n1\n", {0}, ERR_FORMAT, "line 1, column 1", "no name"},
    {"a,b,a\n1,2,3\n", {0}, ERR_FORMAT, "line 1, column 3", "same name"},
    {"a,b\tc\n1,2\n", {0}, ERR_FORMAT, "line 1, column 2", "control"},
    {"a\tb\n1\t2\n", {0}, ERR_FORMAT, "line 1", "separated by tabs"},
    {"a;b\n1;2\n", {0}, ERR_FORMAT, "line 1", "separated by semicolons"},
    {"a;b\n1,5;2\n", {0}, ERR_FORMAT, "line 1", "separated by semicolons"},
    {"a,b\n", {0}, ERR_FORMAT, "", "no rows"},
    {"a,b\n1,\n2,NA\n", {0}, ERR_FORMAT, "column b", "every cell is missing"},
    {"a\n1\n", {"b", COLUMN_NUMERIC}, ERR_INVALID, "/columns", "no column \"b\""},
    {"a\n1\nx\n", {"a", COLUMN_NUMERIC}, ERR_FORMAT, "line 3, column a", "asked to be numeric"},
    {"a\n1\nx\n", {"a", COLUMN_INTEGER}, ERR_FORMAT, "line 3, column a", "asked to be integer"},
    {"a\n1\n2.0\n", {"a", COLUMN_INTEGER}, ERR_FORMAT, "line 3, column a", "not a whole number"},
};

START_TEST(what_is_no_table_is_refused_with_its_place)
{
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct schema schema;
        struct err err = {0};
        const struct table_override overrides[] = {refused[i].override, {0}};
        int code = table_infer(&schema, refused[i].text, overrides, &err);
        ck_assert_msg(code == (int)refused[i].code, "%s", refused[i].text);
        ck_assert_int_eq(err.code, refused[i].code);
        ck_assert_str_eq(err.where, refused[i].where);
        ck_assert_msg(strstr(err.message, refused[i].message), "%s", err.message);
    }
}
END_TEST

/* What becomes of head, `length` times n, tail. */
static int infer_repeated(const char *head, int length, const char *tail, struct err *err)
{
    char fill[400], text[500];
    struct schema schema = {0};
    memset(fill, 'n', sizeof fill);
    snprintf(text, sizeof text, "%s%.*s%s", head, length, fill, tail);
    int code = table_infer(&schema, text, NULL, err);
    schema_release(&schema);
    return code;
}

START_TEST(long_names_and_cells_are_refused)
{
    struct err err = {0};
    ck_assert_int_eq(infer_repeated("", LIMIT_COLUMN_NAME, "\n1\n", &err), 0);
    ck_assert_int_eq(infer_repeated("", LIMIT_COLUMN_NAME + 1, "\n1\n", &err), ERR_FORMAT);
    ck_assert_str_eq(err.where, "line 1, column 1");
    err = (struct err){0};
    ck_assert_int_eq(infer_repeated("a\n", LIMIT_LEVEL, "\n", &err), 0);
    ck_assert_int_eq(infer_repeated("a\n", LIMIT_LEVEL + 1, "\n", &err), ERR_FORMAT);
    ck_assert_str_eq(err.where, "line 2, column a");
}
END_TEST

START_TEST(a_table_that_would_be_too_wide_is_refused)
{
    struct infer *infer;
    struct err err = {0};
    const char *names[9] = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};
    ck_assert_int_eq(infer_new(&infer, names, 9, &err), 0);
    for (uint64_t row = 0; row < LIMIT_LEVELS; row++) {
        char text[16];
        size_t length = (size_t)snprintf(text, sizeof text, "v%d", (int)row);
        const char *cells[9] = {text, text, text, text, text, text, text, text, "1"};
        size_t lengths[9] = {length, length, length, length, length, length, length, length, 1};
        ck_assert_int_eq(infer_row(infer, cells, lengths, row + 2, &err), 0);
    }
    struct schema schema;
    ck_assert_int_eq(infer_finish(infer, &schema, &err), ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.message, "4097"));
    infer_free(infer);
    err = (struct err){0};
    ck_assert_int_eq(infer_new(&infer, names, 0, &err), ERR_FORMAT);
}
END_TEST

START_TEST(missing_cells_are_those_that_tools_write)
{
    static const char *const yes[] = {"",  "NA",   "na",   "N/A",  "n/a",   "NaN", "nan",
                                      "?", "null", "NULL", "None", " NA\t", " "};
    static const char *const no[] = {".", "0", "-", "NAN1", "N", "nil", "nulls", "??"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        ck_assert_msg(cell_missing(yes[i], strlen(yes[i])), "%s", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        ck_assert_msg(!cell_missing(no[i], strlen(no[i])), "%s", no[i]);
}
END_TEST

START_TEST(penguins_keep_their_odd_level)
{
    char *text = table_file(TEST_DATA "/penguins.csv");
    struct schema schema = infer_text(text, NULL);
    static const enum column_kind kinds[] = {COLUMN_CATEGORICAL, COLUMN_CATEGORICAL, COLUMN_NUMERIC,
                                             COLUMN_NUMERIC,     COLUMN_INTEGER,     COLUMN_INTEGER,
                                             COLUMN_CATEGORICAL};
    ck_assert_uint_eq(schema.rows, 344);
    ck_assert_uint_eq(schema.count, 7);
    for (size_t i = 0; i < 7; i++)
        ck_assert_int_eq(schema.columns[i].kind, kinds[i]);
    const struct column *sex = &schema.columns[6];
    ck_assert_uint_eq(sex->level_count, 3);
    ck_assert_uint_eq(column_level(sex, ".", 1), 2);
    ck_assert_uint_eq(sex->level_rows[2], 1);
    ck_assert_uint_eq(sex->missing, 10);
    ck_assert_uint_eq(schema.columns[2].missing, 2);
    ck_assert_uint_eq(schema.columns[2].decimals, 1);
    ck_assert_double_eq_tol(schema.columns[5].mean, 4201.754385964912, 1e-9);
    schema_release(&schema);
    free(text);
}
END_TEST

START_TEST(every_failed_allocation_is_an_error)
{
    const char *text = "a,b,c\n1,x,2\n2,y,3\n3,z,x\n4,a,\n5,b,1\n6,c,1\n7,d,1\n8,e,1\n9,f,1\n";
    struct schema schema = {0};
    int code = ERR_NOMEM;
    size_t after = 0;
    for (; code; after++) {
        struct err err = {0};
        mem_fail_after(after);
        code = table_infer(&schema, text, NULL, &err);
        mem_fail_after(SIZE_MAX);
        ck_assert(code == 0 || (code == ERR_NOMEM && err.code == ERR_NOMEM));
    }
    ck_assert_uint_gt(after, 20);
    ck_assert_str_eq(schema.columns[1].levels[8], "f");
    ck_assert_uint_eq(schema.columns[1].level_rows[8], 1);
    ck_assert_uint_eq(schema.rows, 9);
    schema_release(&schema);
    for (code = ERR_NOMEM, after = 0; code; after++) {
        mem_fail_after(after);
        code = schema_plain(&schema, 3);
        mem_fail_after(SIZE_MAX);
    }
    ck_assert_uint_eq(after, 5);
    ck_assert_str_eq(schema.columns[2].name, "x2");
    schema_release(&schema);
    schema_release(&schema); /* empty by now */
    infer_free(NULL);
}
END_TEST

START_TEST(names_of_kinds_are_found)
{
    enum column_kind kind;
    for (int i = 0; i < 3; i++) {
        ck_assert(column_kind_find(column_kind_name((enum column_kind)i), &kind));
        ck_assert_int_eq(kind, i);
    }
    ck_assert(!column_kind_find("float", &kind));
    ck_assert(!column_kind_find("", &kind));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("infer");
    TCase *tests = tcase_create("infer");
    tcase_add_test(tests, kinds_follow_the_cells);
    tcase_add_test(tests, statistics_are_those_of_the_cells_that_are_present);
    tcase_add_test(tests, a_user_can_override_a_kind);
    tcase_add_test(tests, a_number_may_have_many_values_and_a_category_may_not);
    tcase_add_test(tests, a_category_that_starts_with_many_numbers_is_refused);
    tcase_add_test(tests, what_is_no_table_is_refused_with_its_place);
    tcase_add_test(tests, long_names_and_cells_are_refused);
    tcase_add_test(tests, a_table_that_would_be_too_wide_is_refused);
    tcase_add_test(tests, missing_cells_are_those_that_tools_write);
    tcase_add_test(tests, penguins_keep_their_odd_level);
    tcase_add_test(tests, every_failed_allocation_is_an_error);
    tcase_add_test(tests, names_of_kinds_are_found);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
