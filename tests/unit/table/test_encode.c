#include "core/base/mem.h"
#include "core/base/number.h"
#include "core/table/encode.h"
#include "tests/unit/table/table_help.h"
#include "tests/unit/unit.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint64_t random_state;

static uint64_t draw(uint64_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (random_state >> 33) % below;
}

static struct schema infer_text(const char *text)
{
    struct schema schema = {0};
    struct err err = {0};
    int code = table_infer(&schema, text, NULL, &err);
    ck_assert_msg(code == 0, "%s: %s", err.where, err.message);
    return schema;
}

/* The decoded cell stands for the same value as the text. */
static void same_cell(const struct column *column, const struct cell *cell, const char *text)
{
    double value = NAN;
    ck_assert_int_eq(cell->kind, column->kind);
    if (column->kind == COLUMN_CATEGORICAL) {
        ck_assert_str_eq(column->levels[cell->level], text);
        return;
    }
    ck_assert(number_read(text, strlen(text), &value, NULL, NULL));
    ck_assert_msg(cell->number == value, "%s: %.17g for %s", column->name, cell->number, text);
}

/* Every complete row of the table comes back; returns how many there were. */
static size_t round_trip(const char *text)
{
    struct schema schema = infer_text(text);
    float *floats = mem_alloc(schema_width(&schema), sizeof *floats);
    struct cell *cells = mem_alloc(schema.count, sizeof *cells);
    size_t complete_rows = 0;
    uint64_t line = 2;
    for (const char *at = strchr(text, '\n') + 1; *at; at = strchr(at, '\n') + 1) {
        struct table_row row;
        struct err err = {0};
        bool complete;
        table_row_split(&row, at);
        ck_assert_int_eq(
            encode_row(floats, &complete, &schema, row.cells, row.lengths, line++, &err), 0);
        decode_row(cells, &schema, floats);
        for (size_t i = 0; i < schema.count; i++)
            if (!cell_missing(row.cells[i], row.lengths[i]))
                same_cell(&schema.columns[i], &cells[i], row.cells[i]);
        complete_rows += complete;
        table_row_free(&row);
    }
    mem_free(floats);
    mem_free(cells);
    schema_release(&schema);
    return complete_rows;
}

START_TEST(the_demo_tables_come_back_as_they_went_in)
{
    static const struct {
        const char *path;
        size_t complete;
    } files[] = {{TEST_DATA "/iris.csv", 150}, {TEST_DATA "/penguins.csv", 334}};
    for (size_t i = 0; i < 2; i++) {
        char *text = table_file(files[i].path);
        ck_assert_uint_eq(round_trip(text), files[i].complete);
        free(text);
    }
}
END_TEST

static size_t random_cell(char *out, size_t size, unsigned kind, unsigned decimals)
{
    if (draw(10) == 0)
        return (size_t)snprintf(out, size, "%s", draw(2) ? "" : "NA");
    if (kind == COLUMN_CATEGORICAL)
        return (size_t)snprintf(out, size, "level %d", (int)draw(7));
    if (kind == COLUMN_INTEGER)
        return (size_t)snprintf(out, size, "%d", (int)draw(1000000) - 500000);
    double value = ((double)draw(2000000) - 1000000) / pow(10, decimals);
    return (size_t)snprintf(out, size, "%.*f", (int)decimals, value);
}

/* rows x columns; kinds: of the columns in turn. */
static char *random_table(size_t rows, size_t columns, const unsigned *kinds, size_t kind_count)
{
    size_t size = (rows + 2) * columns * 32, at = 0;
    char *text = malloc(size);
    for (size_t i = 0; i < columns; i++)
        at += (size_t)snprintf(text + at, size - at, "%sc%d", i ? "," : "", (int)i);
    for (size_t row = 0; row < rows; row++) {
        for (size_t i = 0; i < columns; i++) {
            at += (size_t)snprintf(text + at, size - at, i ? "," : "\n");
            at += random_cell(text + at, size - at, kinds[i % kind_count], (unsigned)i % 7);
        }
    }
    for (size_t i = 0; i < columns;
         i++) /* a last row that is complete, so that no column is empty */
        at += (size_t)snprintf(text + at, size - at, "%s%s", i ? "," : "\n",
                               kinds[i % kind_count] == COLUMN_CATEGORICAL ? "last" : "1");
    snprintf(text + at, size - at, "\n");
    return text;
}

START_TEST(random_tables_come_back_as_they_went_in)
{
    static const unsigned mixed[] = {COLUMN_NUMERIC, COLUMN_CATEGORICAL, COLUMN_INTEGER};
    random_state = 1;
    for (size_t i = 0; i < 60; i++) {
        /* mixed, and of one kind each */
        const unsigned *kinds = i % 4 < 3 ? &mixed[i % 4] : mixed;
        size_t rows = i % 5 == 0 ? 0 : draw(60);
        char *text = random_table(rows, 1 + draw(9), kinds, i % 4 < 3 ? 1 : 3);
        ck_assert_uint_ge(round_trip(text), 1);
        free(text);
    }
}
END_TEST

START_TEST(far_numbers_and_small_steps_survive)
{
    ck_assert_uint_eq(round_trip("a\n1700000000\n1700000001\n1700086400\n"), 3);
    ck_assert_uint_eq(round_trip("a\n0.000000000000001\n0.000000000000003\n"), 2);
    ck_assert_uint_eq(round_trip("a,b\n-1,7.25\n"), 1);
    ck_assert_uint_eq(round_trip("a\n-0.0\n0.0\n-0.5\n"), 3);
}
END_TEST

START_TEST(any_floats_decode_to_cells_that_the_table_could_hold)
{
    struct schema schema = infer_text("n,i,c,k\n1.25,7,x,5.5\n-3.1,8,y,5.5\n2,1000,z,5.5\n");
    random_state = 3;
    for (int i = 0; i < 8000; i++) {
        float in[6];
        struct cell out[4];
        for (size_t j = 0; j < 6; j++) {
            float scale = i % 100 ? 4 : powf(10, (float)draw(38));
            in[j] = ((float)draw(2000001) / 1e6f - 1) * scale;
        }
        decode_row(out, &schema, in);
        char text[NUMBER_TEXT];
        double value;
        size_t decimals;
        bool integer;
        ck_assert(number_read(text, number_write_double(text, out[0].number), &value, &decimals,
                              &integer));
        ck_assert(decimals <= 2 || (decimals == SIZE_MAX && fabs(value) >= 1e15));
        ck_assert(out[1].number == round(out[1].number));
        ck_assert(!signbit(out[1].number) || out[1].number != 0);
        ck_assert_uint_lt(out[2].level, 3);
        ck_assert(out[3].number == 5.5); /* constant */
    }
    schema_release(&schema);
}
END_TEST

START_TEST(encoded_numbers_are_standardised_and_levels_are_plus_and_minus_one)
{
    struct schema schema = infer_text("n,c\n1,x\n3,y\n5,z\n");
    const char *cells[] = {"5", "y"};
    const size_t lengths[] = {1, 1};
    float out[4];
    bool complete = false;
    struct err err = {0};
    ck_assert_int_eq(encode_row(out, &complete, &schema, cells, lengths, 2, &err), 0);
    ck_assert(complete);
    ck_assert_float_eq_tol(out[0], (float)(2 / sqrt(8.0 / 3)), 1e-6f);
    ck_assert(out[1] == -1 && out[2] == 1 && out[3] == -1);
    schema_release(&schema);
}
END_TEST

START_TEST(the_level_is_the_largest_and_the_first_of_equals)
{
    struct schema schema = infer_text("c\nx\ny\nz\n");
    static const float rows[][3] = {{0, 0, 0}, {-1, 2, 2}, {-5, -4, -3}, {1e30f, -1e30f, 0}};
    static const size_t levels[] = {0, 1, 2, 0};
    for (size_t i = 0; i < 4; i++) {
        struct cell cell;
        decode_row(&cell, &schema, rows[i]);
        ck_assert_uint_eq(cell.level, levels[i]);
    }
    schema_release(&schema);
}
END_TEST

START_TEST(missing_cells_take_the_mean_and_the_most_frequent_level)
{
    struct schema schema = infer_text("n,i,c\n1.5,1,x\n2.5,2,y\n3.5,4,y\n");
    const char *cells[] = {"", "NA", "?"};
    const size_t lengths[] = {0, 2, 1};
    float floats[4];
    struct cell out[3];
    bool complete = true;
    struct err err = {0};
    ck_assert_int_eq(encode_row(floats, &complete, &schema, cells, lengths, 2, &err), 0);
    ck_assert(!complete);
    decode_row(out, &schema, floats);
    ck_assert(out[0].number == 2.5);
    ck_assert(out[1].number == 2);
    ck_assert_uint_eq(out[2].level, 1);
    schema_release(&schema);
}
END_TEST

START_TEST(cells_that_the_schema_does_not_know_are_refused)
{
    struct schema schema = infer_text("n,i,c\n1.5,1,x\n2.5,2,y\n");
    static const struct {
        const char *cells[3];
        const char *where;
    } rows[] = {
        {{"a", "1", "x"}, "line 7, column n"},     {{"1e39", "1", "x"}, "line 7, column n"},
        {{"1.5", "1.0", "x"}, "line 7, column i"}, {{"1.5", "b", "x"}, "line 7, column i"},
        {{"1.5", "1", "z"}, "line 7, column c"},   {{"1.5", "1", "X"}, "line 7, column c"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t lengths[3];
        for (size_t j = 0; j < 3; j++)
            lengths[j] = strlen(rows[i].cells[j]);
        float out[4];
        bool complete;
        struct err err = {0};
        ck_assert_int_eq(encode_row(out, &complete, &schema, rows[i].cells, lengths, 7, &err),
                         ERR_FORMAT);
        ck_assert_str_eq(err.where, rows[i].where);
        ck_assert_str_ne(err.message, "");
    }
    schema_release(&schema);
}
END_TEST

START_TEST(a_plain_schema_gives_every_float_back)
{
    struct schema schema;
    ck_assert_int_eq(schema_plain(&schema, 1), 0);
    random_state = 5;
    for (int i = 0; i < 30000; i++) {
        uint32_t bits = (uint32_t)draw(UINT32_MAX) * 2654435761u;
        float in;
        struct cell out;
        memcpy(&in, &bits, sizeof in);
        if (!isfinite(in))
            continue;
        decode_row(&out, &schema, &in);
        ck_assert((float)out.number == in && out.number == (double)in);
    }
    float most = FLT_MAX;
    struct cell out;
    schema.columns[0].std = 1e30;
    decode_row(&out, &schema, &most);
    ck_assert(out.number == (double)FLT_MAX);
    schema_release(&schema);
}
END_TEST

START_TEST(names_of_policies_are_found)
{
    enum missing_policy policy;
    ck_assert(missing_policy_find("impute", &policy));
    ck_assert_int_eq(policy, MISSING_IMPUTE);
    ck_assert(missing_policy_find(missing_policy_name(MISSING_DROP), &policy));
    ck_assert_int_eq(policy, MISSING_DROP);
    ck_assert(!missing_policy_find("mean", &policy));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("encode");
    TCase *tests = tcase_create("encode");
    tcase_add_test(tests, the_demo_tables_come_back_as_they_went_in);
    tcase_add_test(tests, random_tables_come_back_as_they_went_in);
    tcase_add_test(tests, far_numbers_and_small_steps_survive);
    tcase_add_test(tests, any_floats_decode_to_cells_that_the_table_could_hold);
    tcase_add_test(tests, encoded_numbers_are_standardised_and_levels_are_plus_and_minus_one);
    tcase_add_test(tests, the_level_is_the_largest_and_the_first_of_equals);
    tcase_add_test(tests, missing_cells_take_the_mean_and_the_most_frequent_level);
    tcase_add_test(tests, cells_that_the_schema_does_not_know_are_refused);
    tcase_add_test(tests, a_plain_schema_gives_every_float_back);
    tcase_add_test(tests, names_of_policies_are_found);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
