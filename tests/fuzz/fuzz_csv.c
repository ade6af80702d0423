/* A CSV file in pieces of any size gives what it gives as a whole; what is a table can be encoded,
   and decodes to cells that the table could hold. The first byte says how it is cut. */
#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/table/encode.h"
#include "core/table/infer.h"
#include "proto/csv.h"

#include <math.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a reader saw: a hash of all cells and their lines. */
struct seen {
    uint64_t hash;
    uint64_t rows;
    int code;
    struct err err;
};

static void hash_bytes(struct seen *seen, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++)
        seen->hash = (seen->hash ^ bytes[i]) * 0x100000001b3u;
}

static int hash_row(void *context, const char *const *cells, const size_t *lengths, size_t count,
                    uint64_t line, struct err *err)
{
    struct seen *seen = context;
    (void)err;
    hash_bytes(seen, &line, sizeof line);
    for (size_t i = 0; i < count; i++) {
        check(cells[i][lengths[i]] == '\0');
        hash_bytes(seen, cells[i], lengths[i] + 1);
    }
    seen->rows++;
    return 0;
}

static int read_pieces(csv_row_fn row, void *context, const char *text, size_t size, size_t piece,
                       struct err *err)
{
    struct csv_reader *reader;
    int code = csv_reader_new(&reader, row, context);
    if (code)
        return code;
    for (size_t at = 0; at < size && !code; at += piece)
        code = csv_reader_feed(reader, text + at, size - at < piece ? size - at : piece, err);
    if (!code)
        code = csv_reader_finish(reader, err);
    csv_reader_free(reader);
    return code;
}

struct table {
    struct infer *infer;
    struct schema schema;
    float *floats; /* [schema_width]; NULL in the first pass */
    struct cell *cells;
};

static int infer_next(void *context, const char *const *cells, const size_t *lengths, size_t count,
                      uint64_t line, struct err *err)
{
    struct table *table = context;
    if (!table->infer)
        return infer_new(&table->infer, cells, count, err);
    return infer_row(table->infer, cells, lengths, line, err);
}

static void check_cell(const struct column *column, const struct cell *cell)
{
    check(cell->kind == column->kind);
    if (cell->kind == COLUMN_CATEGORICAL)
        check(cell->level < column->level_count);
    else
        check(isfinite(cell->number));
    if (cell->kind == COLUMN_INTEGER)
        check(round(cell->number) == cell->number);
}

static int encode_next(void *context, const char *const *cells, const size_t *lengths, size_t count,
                       uint64_t line, struct err *err)
{
    struct table *table = context;
    bool complete;
    if (table->infer) { /* the header */
        infer_free(table->infer);
        table->infer = NULL;
        return 0;
    }
    check(encode_row(table->floats, &complete, &table->schema, cells, lengths, line, err) == 0);
    decode_row(table->cells, &table->schema, table->floats);
    for (size_t i = 0; i < count; i++)
        check_cell(&table->schema.columns[i], &table->cells[i]);
    return 0;
}

static void try_table(const char *text, size_t size)
{
    struct table table = {0};
    struct err err = {0};
    int code = read_pieces(infer_next, &table, text, size, size, &err);
    if (!code && !infer_finish(table.infer, &table.schema, &err)) {
        table.floats = mem_alloc(schema_width(&table.schema), sizeof *table.floats);
        table.cells = mem_alloc(table.schema.count, sizeof *table.cells);
        check(table.floats && table.cells);
        check(read_pieces(encode_next, &table, text, size, size, &err) == 0);
        mem_free(table.floats);
        mem_free(table.cells);
        schema_release(&table.schema);
    }
    infer_free(table.infer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen whole = {0}, parts = {0};
    if (size == 0)
        return 0;
    const char *text = (const char *)data + 1;
    size_t piece = (size_t)data[0] % 17 + 1;
    whole.code = read_pieces(hash_row, &whole, text, size - 1, size, &whole.err);
    parts.code = read_pieces(hash_row, &parts, text, size - 1, piece, &parts.err);
    check(whole.code == parts.code && whole.hash == parts.hash && whole.rows == parts.rows);
    check(strcmp(whole.err.where, parts.err.where) == 0);
    if (size > 1)
        try_table(text, size - 1);
    return 0;
}
