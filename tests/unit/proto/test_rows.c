#include "core/base/mem.h"
#include "core/base/number.h"
#include "core/table/encode.h"
#include "core/table/infer.h"
#include "proto/csv.h"
#include "proto/npy.h"
#include "proto/rows.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* An answer of three rows from a small table: n (1 decimal), i (integer), c (levels). */
struct answer {
    struct sample_spec spec;
    struct grid grid;
    struct schema schema;
    struct rows_info info;
    float rows[3 * 4];
    bool ok[3];
    struct buf out;
};

static const char *const small_names[] = {"n", "i", "c, \"d\""};
static const char *const small_rows[3][3] = {
    {"1.5", "-7", "x"}, {"2", "0", "y, \"z\""}, {"-0.5", "12", "x"}};

static void cell_lengths(size_t *lengths, const char *const *cells, size_t count)
{
    for (size_t i = 0; i < count; i++)
        lengths[i] = strlen(cells[i]);
}

static void small_table(struct schema *schema, float *rows)
{
    struct infer *infer;
    size_t lengths[3];
    bool complete;
    ck_assert_int_eq(infer_new(&infer, small_names, 3, NULL), 0);
    for (size_t i = 0; i < 3; i++) {
        cell_lengths(lengths, small_rows[i], 3);
        ck_assert_int_eq(infer_row(infer, small_rows[i], lengths, i + 2, NULL), 0);
    }
    ck_assert_int_eq(infer_finish(infer, schema, NULL), 0);
    for (size_t i = 0; i < 3; i++) {
        cell_lengths(lengths, small_rows[i], 3);
        ck_assert_int_eq(
            encode_row(rows + 4 * i, &complete, schema, small_rows[i], lengths, 2, NULL), 0);
    }
    infer_free(infer);
}

static void answer_init(struct answer *answer, size_t steps, size_t frames)
{
    *answer = (struct answer){.ok = {true, true, true}};
    sample_spec_init(&answer->spec);
    answer->spec.count = 3;
    answer->spec.seed = 7;
    answer->spec.steps = steps;
    struct grid_spec grid = {.t0 = 0, .t1 = 1, .steps = steps, .frames = frames};
    ck_assert_int_eq(grid_init(&answer->grid, &grid, NULL), 0);
    small_table(&answer->schema, answer->rows);
    answer->info = (struct rows_info){.model = "toy",
                                      .version = 2,
                                      .spec = &answer->spec,
                                      .grid = &answer->grid,
                                      .schema = &answer->schema};
    buf_init(&answer->out, 1 << 20);
}

static void answer_release(struct answer *answer)
{
    sample_spec_release(&answer->spec);
    grid_release(&answer->grid);
    schema_release(&answer->schema);
    buf_release(&answer->out);
}

static struct rows_piece piece_of(const struct answer *answer, size_t first, size_t count)
{
    return (struct rows_piece){
        .first = first, .rows = answer->rows + 4 * first, .ok = answer->ok + first, .count = count};
}

static void is_text(struct buf *out, const char *expected)
{
    ck_assert_int_eq(out->failed, 0);
    buf_char(out, '\0');
    ck_assert_str_eq(out->data, expected);
    buf_clear(out);
}

/* The whole answer, its rows in pieces of that many. */
static void write_rows(struct answer *answer, enum row_format format, size_t size)
{
    static const struct rows_failure failure = {.row = 1, .status = "non_finite"};
    rows_head(&answer->out, format, &answer->info);
    for (size_t at = 0; at < 3; at += size) {
        struct rows_piece piece = piece_of(answer, at, size);
        rows_body(&answer->out, format, &answer->info, &piece);
    }
    rows_tail(&answer->out, format,
              &(struct rows_outcome){
                  .evaluations = 6, .failures = &failure, .failure_count = answer->ok[1] ? 0 : 1});
}

#define INFO_JSON                                                                                  \
    "\"model\":\"toy\",\"version\":2,\"seed\":7,\"solver\":{\"method\":\"euler\",\"steps\":2,"     \
    "\"t0\":0,\"t1\":1,\"grid\":[0,0.5,1]},\"precision\":\"f32\",\"columns\":[\"n\",\"i\","        \
    "\"c, \\\"d\\\"\"]"

START_TEST(json_states_what_was_done_and_holds_the_rows)
{
    struct answer answer;
    answer_init(&answer, 2, 0);
    for (size_t size = 1; size <= 3; size += 2) {
        write_rows(&answer, ROWS_JSON, size);
        is_text(&answer.out, "{" INFO_JSON ",\"samples\":[[1.5,-7,\"x\"],[2,0,\"y, \\\"z\\\"\"],"
                             "[-0.5,12,\"x\"]],\"evaluations\":6,\"failed\":[]}\n");
    }
    answer.ok[1] = false;
    write_rows(&answer, ROWS_JSON, 3);
    is_text(&answer.out, "{" INFO_JSON ",\"samples\":[[1.5,-7,\"x\"],null,[-0.5,12,\"x\"]],"
                         "\"evaluations\":6,\"failed\":[{\"row\":1,\"status\":\"non_finite\"}]}\n");
    answer_release(&answer);
}
END_TEST

START_TEST(lines_hold_one_row_each)
{
    struct answer answer;
    answer_init(&answer, 2, 0);
    answer.ok[1] = false;
    write_rows(&answer, ROWS_NDJSON, 1);
    is_text(&answer.out, "[1.5,-7,\"x\"]\nnull\n[-0.5,12,\"x\"]\n");
    write_rows(&answer, ROWS_CSV, 1);
    is_text(&answer.out, "n,i,\"c, \"\"d\"\"\"\n1.5,-7,x\n,,\n-0.5,12,x\n");
    answer.ok[1] = true;
    write_rows(&answer, ROWS_CSV, 3);
    is_text(&answer.out, "n,i,\"c, \"\"d\"\"\"\n1.5,-7,x\n2,0,\"y, \"\"z\"\"\"\n-0.5,12,x\n");
    answer_release(&answer);
}
END_TEST

static void npy_holds(const struct buf *out, size_t rank, const uint64_t *shape,
                      const double *values)
{
    struct npy_header header;
    const unsigned char *bytes = (const unsigned char *)out->data;
    ck_assert_int_eq(npy_read_header(&header, bytes, out->size, out->size, NULL), 0);
    ck_assert_uint_eq(header.rank, rank);
    size_t items = 1;
    for (size_t i = 0; i < rank; i++) {
        ck_assert_uint_eq(header.shape[i], shape[i]);
        items *= shape[i];
    }
    for (size_t i = 0; i < items; i++) {
        double item = npy_item(bytes + header.header_size, NPY_F4, i);
        ck_assert(isnan(values[i]) ? isnan(item) : item == values[i]);
    }
}

START_TEST(npy_holds_numbers_and_the_index_of_levels)
{
    struct answer answer;
    answer_init(&answer, 2, 0);
    answer.ok[2] = false;
    write_rows(&answer, ROWS_NPY, 1);
    npy_holds(&answer.out, 2, (const uint64_t[]){3, 3},
              (const double[]){1.5, -7, 0, 2, 0, 1, NAN, NAN, NAN});
    answer_release(&answer);
}
END_TEST

START_TEST(a_failed_row_of_one_column_is_a_row_too)
{
    struct answer answer;
    answer_init(&answer, 2, 0);
    schema_release(&answer.schema);
    ck_assert_int_eq(schema_plain(&answer.schema, 1), 0);
    const bool ok[] = {true, false};
    const float rows[] = {1.5f, NAN};
    struct rows_piece piece = {.rows = rows, .ok = ok, .count = 2};
    rows_body(&answer.out, ROWS_CSV, &answer.info, &piece);
    is_text(&answer.out, "1.5\n\"\"\n");
    answer_release(&answer);
}
END_TEST

static void solver_is(struct answer *answer, const char *expected)
{
    rows_head(&answer->out, ROWS_JSON, &answer->info);
    buf_char(&answer->out, '\0');
    ck_assert_msg(strstr(answer->out.data, expected) != NULL, "%s", answer->out.data);
    buf_clear(&answer->out);
}

START_TEST(a_long_uniform_grid_is_only_called_so)
{
    struct answer answer;
    answer_init(&answer, 101, 0);
    solver_is(&answer, "\"steps\":101,\"t0\":0,\"t1\":1,\"grid\":\"uniform\"}");
    grid_release(&answer.grid);
    const double times[] = {0.1234};
    struct grid_spec grid = {.t0 = 0, .t1 = 1, .steps = 101, .times = times, .time_count = 1};
    ck_assert_int_eq(grid_init(&answer.grid, &grid, NULL), 0);
    solver_is(&answer, "\"steps\":102,");
    solver_is(&answer, ",0.1234,");
    answer_release(&answer);
    answer_init(&answer, 100, 0);
    solver_is(&answer, "\"grid\":[0,0.01,0.02,0.03,");
    answer.spec.seed = UINT64_MAX;
    solver_is(&answer, "\"seed\":\"18446744073709551615\"");
    answer_release(&answer);
}
END_TEST

START_TEST(adaptive_answer_states_tolerances_and_what_rows_took)
{
    struct answer answer;
    answer_init(&answer, 2, 0);
    answer.spec.tableau = tableau_find("tsit5");
    answer.spec.rtol = 1e-4;
    solver_is(&answer, "\"solver\":{\"method\":\"tsit5\",\"rtol\":0.0001,\"atol\":0.00001,"
                       "\"max_evaluations\":10000,\"t0\":0,\"t1\":1},");
    const struct rows_failure failures[] = {{1, "max_evaluations"}, {2, "step_underflow"}};
    const struct rows_outcome outcome = {
        .evaluations = 75,
        .tally =
            {.rows = 3, .evaluations_min = 20, .evaluations_max = 32, .accepted = 9, .rejected = 2},
        .failures = failures,
        .failure_count = 2,
    };
    rows_tail(&answer.out, ROWS_JSON, &outcome);
    is_text(&answer.out, "],\"evaluations\":75,"
                         "\"evaluations_per_row\":{\"min\":20,\"mean\":25,\"max\":32},"
                         "\"steps\":{\"accepted\":9,\"rejected\":2},"
                         "\"failed\":[{\"row\":1,\"status\":\"max_evaluations\"},"
                         "{\"row\":2,\"status\":\"step_underflow\"}]}\n");
    answer_release(&answer);
}
END_TEST

static void write_frames(struct answer *answer, enum row_format format, size_t size)
{
    frames_head(&answer->out, format, &answer->info);
    for (size_t frame = 0; frame < answer->grid.frame_count; frame++) {
        for (size_t at = 0; at < 3; at += size) {
            struct rows_piece piece = piece_of(answer, at, size);
            frames_body(&answer->out, format, &answer->info, frame, &piece);
        }
    }
    frames_tail(&answer->out, format, &(struct rows_outcome){.evaluations = 6});
}

#define SAMPLES_JSON "\"samples\":[[1.5,-7,\"x\"],null,[-0.5,12,\"x\"]]}"
#define FRAME_0 "\"frame\":0,\"t\":0," SAMPLES_JSON
#define FRAME_1 "\"frame\":1,\"t\":1," SAMPLES_JSON

START_TEST(frames_are_events_or_lines)
{
    struct answer answer;
    answer_init(&answer, 2, 2);
    answer.ok[1] = false;
    for (size_t size = 1; size <= 3; size += 2) {
        write_frames(&answer, ROWS_SSE, size);
        is_text(&answer.out, "event: start\ndata: {" INFO_JSON ",\"times\":[0,1]}\n\n"
                             "id: 0\nevent: state\ndata: {" FRAME_0 "\n\n"
                             "id: 1\nevent: state\ndata: {" FRAME_1 "\n\n"
                             "event: end\ndata: {\"evaluations\":6,\"failed\":[]}\n\n");
        write_frames(&answer, ROWS_NDJSON, size);
        is_text(&answer.out, "{\"event\":\"start\"," INFO_JSON ",\"times\":[0,1]}\n"
                             "{\"event\":\"state\"," FRAME_0 "\n"
                             "{\"event\":\"state\"," FRAME_1 "\n"
                             "{\"event\":\"end\",\"evaluations\":6,\"failed\":[]}\n");
    }
    write_frames(&answer, ROWS_NPY, 1);
    npy_holds(&answer.out, 3, (const uint64_t[]){2, 3, 3},
              (const double[]){1.5, -7, 0, NAN, NAN, NAN, -0.5, 12, 0, 1.5, -7, 0, NAN, NAN, NAN,
                               -0.5, 12, 0});
    answer_release(&answer);
}
END_TEST

START_TEST(an_error_in_the_stream_is_a_problem_document)
{
    struct buf out;
    struct err err = {0};
    buf_init(&out, 4000);
    err_set(&err, ERR_CANCELLED, "", "the model was removed");
    frames_error(&out, ROWS_SSE, &err);
    is_text(&out, "event: error\ndata: {\"type\":\"urn:advectd:problem:cancelled\","
                  "\"title\":\"The work was cancelled\",\"status\":409,"
                  "\"detail\":\"the model was removed\"}\n\n");
    frames_error(&out, ROWS_NDJSON, &err);
    is_text(&out, "{\"event\":\"error\",\"type\":\"urn:advectd:problem:cancelled\","
                  "\"title\":\"The work was cancelled\",\"status\":409,"
                  "\"detail\":\"the model was removed\"}\n");
    frames_error(&out, ROWS_NPY, &err);
    is_text(&out, "");
    buf_release(&out);
}
END_TEST

START_TEST(every_failed_allocation_fails_the_buffer)
{
    struct answer answer;
    answer_init(&answer, 2, 2);
    static const enum row_format formats[] = {ROWS_JSON, ROWS_NDJSON, ROWS_CSV, ROWS_NPY};
    for (size_t i = 0; i < 4; i++) {
        size_t after = 0;
        int failed = ERR_NOMEM;
        for (; failed; after++) {
            buf_release(&answer.out);
            mem_fail_after(after);
            write_rows(&answer, formats[i], 1);
            mem_fail_after(SIZE_MAX);
            failed = answer.out.failed;
            ck_assert(failed == 0 || failed == ERR_NOMEM);
        }
        ck_assert_uint_gt(after, 3);
    }
    answer_release(&answer);
}
END_TEST

START_TEST(plain_columns_give_the_exact_float_as_text)
{
    struct answer answer;
    answer_init(&answer, 2, 0);
    schema_release(&answer.schema);
    ck_assert_int_eq(schema_plain(&answer.schema, 1), 0);
    uint32_t bits = 1;
    for (int i = 0; i < 20000; i++) {
        bits = bits * 1664525u + 1013904223u;
        float value, again;
        double read;
        const bool ok = true;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        struct rows_piece piece = {.rows = &value, .ok = &ok, .count = 1};
        rows_body(&answer.out, ROWS_CSV, &answer.info, &piece);
        ck_assert(number_read(answer.out.data, answer.out.size - 1, &read, NULL, NULL));
        again = (float)read;
        ck_assert(again == value);
        buf_clear(&answer.out);
    }
    answer_release(&answer);
}
END_TEST

/* A table that is read, encoded, and written again. */
struct copy {
    struct infer *infer;
    struct schema schema;
    struct buf *out; /* NULL in the first pass */
    float row[LIMIT_CSV_COLUMNS];
};

static int copy_row(void *context, const char *const *cells, const size_t *lengths, size_t count,
                    uint64_t line, struct err *err)
{
    struct copy *copy = context;
    struct rows_info info = {.schema = &copy->schema};
    const bool ok = true;
    bool complete;
    if (!copy->out)
        return line == 1 ? infer_new(&copy->infer, cells, count, err)
                         : infer_row(copy->infer, cells, lengths, line, err);
    if (line == 1) {
        rows_head(copy->out, ROWS_CSV, &info);
        return 0;
    }
    int code = encode_row(copy->row, &complete, &copy->schema, cells, lengths, line, err);
    if (code || !complete)
        return code;
    struct rows_piece piece = {.rows = copy->row, .ok = &ok, .count = 1};
    rows_body(copy->out, ROWS_CSV, &info, &piece);
    return 0;
}

static void read_all(struct copy *copy, const char *text, size_t size)
{
    struct csv_reader *reader;
    struct err err = {0};
    ck_assert_int_eq(csv_reader_new(&reader, copy_row, copy), 0);
    int code = csv_reader_feed(reader, text, size, &err);
    if (!code)
        code = csv_reader_finish(reader, &err);
    ck_assert_msg(code == 0, "%s: %s", err.where, err.message);
    csv_reader_free(reader);
}

static size_t count_lines(const struct buf *out)
{
    size_t lines = 0;
    for (size_t i = 0; i < out->size; i++)
        lines += out->data[i] == '\n';
    return lines;
}

/* Every line of the copy is a line of the original, in order, but for "3.0" that became "3". */
static void lines_follow(const struct buf *out, const char *original)
{
    const char *at = original;
    for (size_t i = 0; i < out->size;) {
        size_t size = (size_t)((char *)memchr(out->data + i, '\n', out->size - i) - out->data) - i;
        while (*at && !(strcspn(at, "\n") == size && memcmp(at, out->data + i, size) == 0))
            at += strcspn(at, "\n") + 1;
        ck_assert_msg(*at != '\0', "%.*s", (int)size, out->data + i);
        i += size + 1;
    }
}

static char *without_zero_decimals(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        if (strncmp(from, ".0", 2) == 0 && (from[2] == ',' || from[2] == '\n'))
            from++;
        else
            *to++ = *from;
    }
    *to = '\0';
    return text;
}

START_TEST(the_demo_tables_are_written_as_they_were_read)
{
    static const struct {
        const char *path;
        size_t lines;
    } files[] = {{TEST_DATA "/iris.csv", 151}, {TEST_DATA "/penguins.csv", 335}};
    for (size_t i = 0; i < 2; i++) {
        char *text = calloc(1, 1 << 16);
        FILE *file = fopen(files[i].path, "rb");
        ck_assert_ptr_nonnull(file);
        size_t size = fread(text, 1, (1 << 16) - 1, file);
        fclose(file);
        struct copy copy = {0};
        struct buf out;
        buf_init(&out, 1 << 20);
        read_all(&copy, text, size);
        ck_assert_int_eq(infer_finish(copy.infer, &copy.schema, NULL), 0);
        copy.out = &out;
        read_all(&copy, text, size);
        ck_assert_uint_eq(count_lines(&out), files[i].lines);
        lines_follow(&out, without_zero_decimals(text));
        infer_free(copy.infer);
        schema_release(&copy.schema);
        buf_release(&out);
        free(text);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rows");
    TCase *tests = tcase_create("rows");
    tcase_add_test(tests, json_states_what_was_done_and_holds_the_rows);
    tcase_add_test(tests, lines_hold_one_row_each);
    tcase_add_test(tests, npy_holds_numbers_and_the_index_of_levels);
    tcase_add_test(tests, a_failed_row_of_one_column_is_a_row_too);
    tcase_add_test(tests, a_long_uniform_grid_is_only_called_so);
    tcase_add_test(tests, adaptive_answer_states_tolerances_and_what_rows_took);
    tcase_add_test(tests, frames_are_events_or_lines);
    tcase_add_test(tests, an_error_in_the_stream_is_a_problem_document);
    tcase_add_test(tests, every_failed_allocation_fails_the_buffer);
    tcase_add_test(tests, plain_columns_give_the_exact_float_as_text);
    tcase_add_test(tests, the_demo_tables_are_written_as_they_were_read);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
