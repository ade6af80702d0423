#include "server/jobs/job_log.h"

#include "core/base/err.h"
#include "core/base/mem.h"
#include "proto/json.h"
#include "server/timestamp.h"

#include <stdio.h>
#include <string.h>

static const char opening[] = "{\"event\":\"";

void job_log_init(struct job_log *log)
{
    *log = (struct job_log){0};
    buf_init(&log->unsaved, JOB_LOG_BYTES);
}

void job_log_release(struct job_log *log)
{
    for (size_t i = 0; i < log->count; i++)
        mem_free(log->events[i].text);
    mem_free(log->events);
    buf_release(&log->unsaved);
    job_log_init(log);
}

static void append_unsaved(struct job_log *log, const struct job_event *event)
{
    buf_append(&log->unsaved, event->text, event->size);
    buf_char(&log->unsaved, '\n');
}

static void rewrite(struct job_log *log)
{
    buf_clear(&log->unsaved);
    log->rewrite = true;
    for (size_t i = 0; i < log->count; i++)
        append_unsaved(log, &log->events[i]);
}

/* Leaves out every second minor event; where that frees nothing, the older half. The newest stays.
 */
static void thin(struct job_log *log)
{
    size_t kept = 0, minor = 0, old_half = 0;
    size_t minors = 0;
    for (size_t i = 0; i < log->count; i++)
        minors += log->events[i].minor;
    if (minors < 2)
        old_half = log->count / 2;
    for (size_t i = 0; i < log->count; i++) {
        struct job_event *event = &log->events[i];
        bool drop = event->minor && minor++ % 2 == 0;
        if ((drop || i < old_half) && i + 1 < log->count)
            mem_free(event->text);
        else
            log->events[kept++] = *event;
    }
    log->count = kept;
    rewrite(log);
}

/* Takes event->text over on success. */
static int push(struct job_log *log, const struct job_event *event)
{
    if (log->count >= JOB_LOG_EVENTS)
        thin(log);
    if (log->count == log->capacity) {
        size_t capacity = log->capacity ? 2 * log->capacity : 8;
        struct job_event *events = mem_realloc(log->events, capacity, sizeof *events);
        if (!events)
            return ERR_NOMEM;
        log->events = events;
        log->capacity = capacity;
    }
    log->events[log->count++] = *event;
    log->last_id = event->id;
    return 0;
}

static void set_type(struct job_event *event, const char *type, size_t size)
{
    snprintf(event->type, sizeof event->type, "%.*s", (int)size, type);
    event->minor = strcmp(event->type, "progress") == 0 || strcmp(event->type, "checkpoint") == 0;
}

int job_log_add(struct job_log *log, const char *line, size_t size, int64_t time_ms)
{
    size_t skip = sizeof opening - 1;
    if (size <= skip || memcmp(line, opening, skip) != 0)
        return ERR_FORMAT;
    const char *quote = memchr(line + skip, '"', size - skip);
    if (!quote)
        return ERR_FORMAT;
    struct job_event event = {.id = log->last_id + 1};
    set_type(&event, line + skip, (size_t)(quote - line) - skip);

    char time[TIMESTAMP_TEXT];
    struct buf text;
    timestamp_text(time, time_ms);
    buf_init(&text, JOB_LOG_BYTES);
    buf_printf(&text, "{\"id\":%llu,\"time\":\"%s\",", (unsigned long long)event.id, time);
    buf_append(&text, line + 1, size - 1);
    event.text = text.data;
    event.size = text.size;
    if (text.failed || push(log, &event)) {
        buf_release(&text);
        return ERR_NOMEM;
    }
    append_unsaved(log, &event);
    return 0;
}

/* One line of the file. ERR_FORMAT when it is not one of ours. */
static int read_line(struct job_log *log, const char *line, size_t size)
{
    struct json_doc *doc;
    if (json_parse(&doc, line, size, size, NULL))
        return ERR_FORMAT;
    struct json root = json_root(doc);
    struct job_event event = {.size = size};
    int64_t id;
    const char *type;
    int code = ERR_FORMAT;
    if (json_read_integer(json_get(root, "id"), 1, INT64_MAX, &id, NULL) == 0 &&
        json_read_string(json_get(root, "event"), sizeof event.type - 1, &type, NULL) == 0 &&
        (uint64_t)id > log->last_id) {
        event.id = (uint64_t)id;
        set_type(&event, type, strlen(type));
        event.text = mem_strndup(line, size);
        code = event.text ? push(log, &event) : ERR_NOMEM;
        if (code)
            mem_free(event.text);
    }
    json_free(doc);
    return code;
}

int job_log_read(struct job_log *log, const char *text, size_t size)
{
    int code = 0;
    while (size > 0 && !code) {
        const char *end = memchr(text, '\n', size);
        if (!end) {
            code = ERR_FORMAT;
            break;
        }
        size_t length = (size_t)(end - text);
        code = read_line(log, text, length);
        text += length + 1;
        size -= length + 1;
    }
    if (code == ERR_FORMAT) {
        rewrite(log);
        code = 0;
    }
    log->shown_id = log->last_id;
    return code;
}

size_t job_log_after(const struct job_log *log, uint64_t id)
{
    size_t low = 0, high = log->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (log->events[middle].id <= id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void job_log_take_unsaved(struct job_log *log, struct buf *out, bool *rewrite_file)
{
    *out = log->unsaved;
    *rewrite_file = log->rewrite;
    buf_init(&log->unsaved, JOB_LOG_BYTES);
    log->rewrite = false;
}

void job_log_write(struct buf *out, const struct job_event *event, bool sse)
{
    if (sse)
        buf_printf(out, "id: %llu\nevent: %s\ndata: ", (unsigned long long)event->id, event->type);
    buf_append(out, event->text, event->size);
    buf_text(out, sse ? "\n\n" : "\n");
}
