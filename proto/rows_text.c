#include "proto/rows_text.h"

#include "core/base/mem.h"
#include "core/base/number.h"
#include "core/table/encode.h"
#include "proto/csv.h"

#include <math.h>
#include <string.h>

/* A uniform grid of more steps than this is only called so. */
enum { GRID_STEPS_LISTED = 100 };

static size_t number_text(char *out, const struct column *column, double number)
{
    if (column->kind == COLUMN_INTEGER && fabs(number) < 0x1p63)
        return number_write_integer(out, (int64_t)number);
    if (column->decimals == DECIMALS_FREE)
        return number_write_float(out, (float)number);
    return number_write_double(out, number);
}

/* One row; cells: [schema->count], or NULL where it failed. */
typedef void (*write_row_fn)(struct buf *out, const struct schema *schema,
                             const struct cell *cells);

static void write_json_row(struct buf *out, const struct schema *schema, const struct cell *cells)
{
    struct json_writer w = json_writer(out);
    if (!cells) {
        json_write_null(&w, NULL);
        return;
    }
    json_open_array(&w, NULL);
    for (size_t i = 0; i < schema->count; i++) {
        const struct column *column = &schema->columns[i];
        char text[NUMBER_TEXT];
        if (column->kind == COLUMN_CATEGORICAL)
            json_write_string(&w, NULL, column->levels[cells[i].level]);
        else
            json_write_raw(&w, NULL, text, number_text(text, column, cells[i].number));
    }
    json_close_array(&w);
}

static void write_csv_cell(struct buf *out, const struct column *column, const struct cell *cell)
{
    char text[NUMBER_TEXT];
    if (column->kind == COLUMN_CATEGORICAL)
        csv_write_text(out, column->levels[cell->level]);
    else
        buf_append(out, text, number_text(text, column, cell->number));
}

static void write_csv_row(struct buf *out, const struct schema *schema, const struct cell *cells)
{
    if (!cells && schema->count == 1)
        buf_text(out, "\"\""); /* an empty line would be no row */
    for (size_t i = 0; i < schema->count; i++) {
        if (i)
            buf_char(out, ',');
        if (cells)
            write_csv_cell(out, &schema->columns[i], &cells[i]);
    }
}

static void write_npy_float(struct buf *out, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    unsigned char bytes[4];
    for (size_t i = 0; i < 4; i++)
        bytes[i] = (unsigned char)(bits >> (8 * i));
    buf_append(out, bytes, sizeof bytes);
}

static void write_npy_row(struct buf *out, const struct schema *schema, const struct cell *cells)
{
    for (size_t i = 0; i < schema->count; i++) {
        if (!cells)
            write_npy_float(out, NAN);
        else if (cells[i].kind == COLUMN_CATEGORICAL)
            write_npy_float(out, (float)cells[i].level);
        else
            write_npy_float(out, (float)cells[i].number);
    }
}

static const struct {
    write_row_fn write;
    const char *between, *behind;
} row_styles[] = {
    [ROWS_JSON] = {write_json_row, ",", ""},
    [ROWS_NDJSON] = {write_json_row, "", "\n"},
    [ROWS_CSV] = {write_csv_row, "", "\n"},
    [ROWS_NPY] = {write_npy_row, "", ""},
};

void rows_text_write(struct buf *out, enum row_format format, const struct schema *schema,
                     const struct rows_piece *piece)
{
    size_t width = schema_width(schema);
    struct cell *cells = mem_alloc(schema->count, sizeof *cells);
    if (!cells) {
        out->failed = out->failed ? out->failed : ERR_NOMEM;
        return;
    }
    for (size_t i = 0; i < piece->count; i++) {
        if (piece->ok[i])
            decode_row(cells, schema, piece->rows + i * width);
        if (piece->first + i > 0)
            buf_text(out, row_styles[format].between);
        row_styles[format].write(out, schema, piece->ok[i] ? cells : NULL);
        buf_text(out, row_styles[format].behind);
    }
    mem_free(cells);
}

static void write_times(struct json_writer *w, const struct grid *grid)
{
    json_open_array(w, "grid");
    for (size_t i = 0; i <= grid->steps; i++)
        json_write_number(w, NULL, grid->times[i]);
    json_close_array(w);
}

static void write_fixed(struct json_writer *w, const struct rows_info *info)
{
    const struct grid *grid = info->grid;
    json_write_unsigned(w, "steps", grid->steps);
    json_write_number(w, "t0", grid->times[0]);
    json_write_number(w, "t1", grid->times[grid->steps]);
    if (grid->steps > GRID_STEPS_LISTED && grid->steps == info->spec->steps)
        json_write_string(w, "grid", "uniform");
    else
        write_times(w, grid);
}

static void write_adaptive(struct json_writer *w, const struct sample_spec *spec)
{
    json_write_number(w, "rtol", spec->rtol);
    json_write_number(w, "atol", spec->atol);
    json_write_unsigned(w, "max_evaluations", spec->max_evaluations);
    json_write_number(w, "t0", spec->t0);
    json_write_number(w, "t1", spec->t1);
}

static void write_solver(struct json_writer *w, const struct rows_info *info)
{
    const struct tableau *tableau = info->spec->tableau;
    json_open_object(w, "solver");
    json_write_string(w, "method", tableau->name);
    if (tableau_adaptive(tableau))
        write_adaptive(w, info->spec);
    else
        write_fixed(w, info);
    json_close_object(w);
}

void rows_text_info(struct json_writer *w, const struct rows_info *info)
{
    json_write_string(w, "model", info->model);
    json_write_unsigned(w, "version", info->version);
    json_write_seed(w, "seed", info->spec->seed);
    write_solver(w, info);
    json_write_string(w, "precision", precision_name(info->spec->precision));
    json_open_array(w, "columns");
    for (size_t i = 0; i < info->schema->count; i++)
        json_write_string(w, NULL, info->schema->columns[i].name);
    json_close_array(w);
}

static void write_tally(struct json_writer *w, const struct rows_outcome *outcome)
{
    const struct rows_tally *tally = &outcome->tally;
    json_open_object(w, "evaluations_per_row");
    json_write_unsigned(w, "min", tally->evaluations_min);
    json_write_number(w, "mean", (double)outcome->evaluations / (double)tally->rows);
    json_write_unsigned(w, "max", tally->evaluations_max);
    json_close_object(w);
    json_open_object(w, "steps");
    json_write_unsigned(w, "accepted", tally->accepted);
    json_write_unsigned(w, "rejected", tally->rejected);
    json_close_object(w);
}

void rows_text_end(struct json_writer *w, const struct rows_outcome *outcome)
{
    json_write_unsigned(w, "evaluations", outcome->evaluations);
    if (outcome->tally.rows > 0)
        write_tally(w, outcome);
    json_open_array(w, "failed");
    for (size_t i = 0; i < outcome->failure_count; i++) {
        json_open_object(w, NULL);
        json_write_unsigned(w, "row", outcome->failures[i].row);
        json_write_string(w, "status", outcome->failures[i].status);
        json_close_object(w);
    }
    json_close_array(w);
}

void rows_text_csv_header(struct buf *out, const struct schema *schema)
{
    for (size_t i = 0; i < schema->count; i++) {
        if (i)
            buf_char(out, ',');
        csv_write_text(out, schema->columns[i].name);
    }
    buf_char(out, '\n');
}
