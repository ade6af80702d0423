#include "proto/rows.h"

#include "core/base/check.h"
#include "proto/npy.h"
#include "proto/rows_text.h"

static void write_json_head(struct buf *out, const struct rows_info *info)
{
    struct json_writer w = json_writer(out);
    json_open_object(&w, NULL);
    rows_text_info(&w, info);
    json_open_array(&w, "samples");
}

static void write_npy_head(struct buf *out, const struct rows_info *info)
{
    const uint64_t shape[] = {info->spec->count, info->schema->count};
    npy_write_header(out, shape, 2);
}

void rows_head(struct buf *out, enum row_format format, const struct rows_info *info)
{
    check(format != ROWS_SSE);
    if (format == ROWS_JSON)
        write_json_head(out, info);
    else if (format == ROWS_CSV)
        rows_text_csv_header(out, info->schema);
    else if (format == ROWS_NPY)
        write_npy_head(out, info);
}

void rows_body(struct buf *out, enum row_format format, const struct rows_info *info,
               const struct rows_piece *piece)
{
    check(format != ROWS_SSE);
    rows_text_write(out, format, info->schema, piece);
}

void rows_tail(struct buf *out, enum row_format format, const struct rows_outcome *outcome)
{
    if (format != ROWS_JSON)
        return;
    struct json_writer w = json_writer(out);
    json_close_array(&w);
    rows_text_end(&w, outcome);
    json_close_object(&w);
    buf_char(out, '\n');
}
