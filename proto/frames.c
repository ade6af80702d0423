#include "core/base/check.h"
#include "proto/npy.h"
#include "proto/problem.h"
#include "proto/rows.h"
#include "proto/rows_text.h"

/* An event is an object: the data of a server-sent event, or a line that names it first. */
static struct json_writer open_event(struct buf *out, enum row_format format, const char *name)
{
    struct json_writer w = json_writer(out);
    check(format == ROWS_SSE || format == ROWS_NDJSON);
    if (format == ROWS_SSE)
        buf_printf(out, "event: %s\ndata: ", name);
    json_open_object(&w, NULL);
    if (format == ROWS_NDJSON)
        json_write_string(&w, "event", name);
    return w;
}

static void close_event(struct json_writer *w, enum row_format format)
{
    json_close_object(w);
    buf_text(w->out, format == ROWS_SSE ? "\n\n" : "\n");
}

static double frame_time(const struct grid *grid, size_t frame)
{
    return grid->times[grid->frames[frame]];
}

void frames_head(struct buf *out, enum row_format format, const struct rows_info *info)
{
    const struct grid *grid = info->grid;
    if (format == ROWS_NPY) {
        const uint64_t shape[] = {grid->frame_count, info->spec->count, info->schema->count};
        npy_write_header(out, shape, 3);
        return;
    }
    struct json_writer w = open_event(out, format, "start");
    rows_text_info(&w, info);
    json_open_array(&w, "times");
    for (size_t i = 0; i < grid->frame_count; i++)
        json_write_number(&w, NULL, frame_time(grid, i));
    json_close_array(&w);
    close_event(&w, format);
}

static void open_frame(struct buf *out, enum row_format format, const struct rows_info *info,
                       size_t frame)
{
    if (format == ROWS_SSE)
        buf_printf(out, "id: %zu\n", frame);
    struct json_writer w = open_event(out, format, "state");
    json_write_unsigned(&w, "frame", frame);
    json_write_number(&w, "t", frame_time(info->grid, frame));
    json_open_array(&w, "samples");
}

static void close_frame(struct buf *out, enum row_format format)
{
    struct json_writer w = json_writer(out);
    json_close_array(&w);
    close_event(&w, format);
}

void frames_body(struct buf *out, enum row_format format, const struct rows_info *info,
                 size_t frame, const struct rows_piece *piece)
{
    if (format == ROWS_NPY) {
        rows_text_write(out, ROWS_NPY, info->schema, piece);
        return;
    }
    if (piece->first == 0)
        open_frame(out, format, info, frame);
    rows_text_write(out, ROWS_JSON, info->schema, piece);
    if (piece->first + piece->count == info->spec->count)
        close_frame(out, format);
}

void frames_tail(struct buf *out, enum row_format format, const struct rows_outcome *outcome)
{
    if (format == ROWS_NPY)
        return;
    struct json_writer w = open_event(out, format, "end");
    rows_text_end(&w, outcome);
    close_event(&w, format);
}

void frames_error(struct buf *out, enum row_format format, const struct err *err)
{
    if (format == ROWS_NPY)
        return;
    if (format == ROWS_SSE) {
        buf_text(out, "event: error\ndata: ");
        problem_write(out, err);
        buf_text(out, "\n\n");
        return;
    }
    buf_text(out, "{\"event\":\"error\"");
    size_t brace = out->size;
    problem_write(out, err);
    if (!out->failed)
        out->data[brace] = ','; /* the problem's members follow in the same object */
    buf_char(out, '\n');
}
