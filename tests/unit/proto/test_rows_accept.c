#include "proto/rows.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

static const enum row_format sample[] = {ROWS_JSON, ROWS_NDJSON, ROWS_CSV, ROWS_NPY};
static const enum row_format trajectory[] = {ROWS_NDJSON, ROWS_SSE, ROWS_NPY};

enum { NONE = -1 };

/* -1: not acceptable. The header stands in memory of its exact size. */
static int choose(const char *accept, const enum row_format *offered, size_t count)
{
    enum row_format chosen;
    struct err err = {0};
    char *copy = accept ? strdup(accept) : NULL;
    int code = row_format_accept(&chosen, copy, offered, count, &err);
    free(copy);
    ck_assert(code == 0 || code == ERR_NOT_ACCEPTABLE);
    ck_assert_int_eq(code, err.code);
    return code ? NONE : (int)chosen;
}

static const struct {
    const char *accept;
    int sample, trajectory;
} cases[] = {
    {NULL, ROWS_JSON, ROWS_NDJSON},
    {"", ROWS_JSON, ROWS_NDJSON},
    {" ,, \t", ROWS_JSON, ROWS_NDJSON},
    {"*/*", ROWS_JSON, ROWS_NDJSON},
    {"*", ROWS_JSON, ROWS_NDJSON},
    {"application/*", ROWS_JSON, ROWS_NDJSON},
    {"text/*", ROWS_CSV, ROWS_SSE},
    {"text/csv", ROWS_CSV, NONE},
    {"Text/CSV", ROWS_CSV, NONE},
    {"text/event-stream", NONE, ROWS_SSE},
    {"application/x-npy", ROWS_NPY, ROWS_NPY},
    {"application/x-ndjson", ROWS_NDJSON, ROWS_NDJSON},
    {"  text/csv\t", ROWS_CSV, NONE},
    {"text/csv;charset=utf-8;header=present", ROWS_CSV, NONE},
    {"text/csv;charset=\"utf-8;q=0,\";q=1", ROWS_CSV, NONE},
    {"text/csv;x=\"a\\\",application/json;q=0\"", ROWS_CSV, NONE},
    {"text/csv, */*", ROWS_CSV, ROWS_NDJSON},
    {"text/csv;q=0.5, */*;q=0.1", ROWS_CSV, ROWS_NDJSON},
    {"text/csv;q=0.1, */*;q=0.5", ROWS_JSON, ROWS_NDJSON},
    {"application/json;q=0, */*", ROWS_NDJSON, ROWS_NDJSON},
    {"*/*, application/json;q=0", ROWS_NDJSON, ROWS_NDJSON},
    {"*/*;q=0", NONE, NONE},
    {"*/*;q=0, text/csv", ROWS_CSV, NONE},
    {"text/csv;q=0", NONE, NONE},
    {"application/*;q=0, */*", ROWS_CSV, ROWS_SSE},
    {"application/*;q=0.9, application/json;q=0.2", ROWS_NDJSON, ROWS_NDJSON},
    {"text/csv, application/json", ROWS_CSV, NONE}, /* equals: the header's order */
    {"application/json, text/csv", ROWS_JSON, NONE},
    {"application/json;q=0.8, text/csv;q=0.9", ROWS_CSV, NONE},
    {"application/x-npy;q=0.001, image/png", ROWS_NPY, ROWS_NPY},
    {"text/csv ; q = 0.3 , application/x-npy ; Q=0.4", ROWS_NPY, ROWS_NPY},
    {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", ROWS_JSON, ROWS_NDJSON},
    {"application/json, text/plain, */*", ROWS_JSON, ROWS_NDJSON},
    {"text/html, image/gif, *; q=.2, */*; q=.2", ROWS_JSON, ROWS_NDJSON},
    {"image/png", NONE, NONE},
    {"application/xml, text/html", NONE, NONE},
    {"application/jsonx", NONE, NONE},
    {"application", NONE, NONE},
    {"application/", NONE, NONE},
    {"text/c", NONE, NONE},
    {"/", NONE, NONE},
    {"*/csv", NONE, NONE},
    {"text/**", NONE, NONE},
    {";q=1", NONE, NONE},
    {"garbage \x01\xff, text/csv", ROWS_CSV, NONE},
    {"text/csv;q=abc", ROWS_CSV, NONE}, /* a weight that cannot be read is none */
    {"text/csv;q=2, application/x-npy;q=1", ROWS_CSV, ROWS_NPY},
    {"text/csv;q=-1", NONE, NONE},
    {"text/csv;q", ROWS_CSV, NONE},
    {"text/csv;q=\"", ROWS_CSV, NONE},
    {"text/csv;\"", ROWS_CSV, NONE},
    {"text/csv;\"\\", ROWS_CSV, NONE},
    {"text/csv;q=0;q=1", NONE, NONE}, /* the first */
};

START_TEST(the_best_of_what_is_offered_is_chosen)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *accept = cases[i].accept;
        ck_assert_msg(choose(accept, sample, 4) == cases[i].sample, "%s", accept);
        ck_assert_msg(choose(accept, trajectory, 3) == cases[i].trajectory, "%s", accept);
    }
}
END_TEST

START_TEST(a_refusal_lists_what_can_be_had)
{
    enum row_format chosen;
    struct err err = {0};
    ck_assert_int_eq(row_format_accept(&chosen, "image/png", trajectory, 3, &err),
                     ERR_NOT_ACCEPTABLE);
    ck_assert_ptr_nonnull(
        strstr(err.message, "application/x-ndjson, text/event-stream, application/x-npy"));
}
END_TEST

START_TEST(every_prefix_and_every_changed_byte_gives_an_answer)
{
    const char text[] = "text/csv;charset=\"a\\\"b\";q=0.5, */*;q=0.1,application/json;q=0";
    for (size_t i = 0; i < sizeof text; i++) {
        char changed[sizeof text];
        memcpy(changed, text, sizeof text);
        for (int c = 0; c < 256; c++) {
            changed[i] = (char)c; /* a NUL cuts it: the prefixes too */
            changed[sizeof text - 1] = '\0';
            choose(changed, sample, 4);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rows_accept");
    TCase *tests = tcase_create("rows_accept");
    tcase_add_test(tests, the_best_of_what_is_offered_is_chosen);
    tcase_add_test(tests, a_refusal_lists_what_can_be_had);
    tcase_add_test(tests, every_prefix_and_every_changed_byte_gives_an_answer);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
