#include "server/log.h"

#include "core/base/err.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const log_names[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};

static enum log_level log_least = LOG_INFO;

enum {
    LOG_TAIL = 2,                      /* "}" and the newline, always kept free */
    LOG_MESSAGE = 512,                 /* bytes of a message of our own */
    LOG_ESCAPED = 6 * LOG_MESSAGE + 1, /* a text of which every byte is \u00XX */
};

void log_set_level(enum log_level level)
{
    log_least = level;
}

int log_level_parse(enum log_level *out, const char *name)
{
    for (size_t i = 0; i < sizeof log_names / sizeof *log_names; i++) {
        if (strcmp(name, log_names[i]) == 0) {
            *out = (enum log_level)i;
            return 0;
        }
    }
    return ERR_INVALID;
}

__attribute__((format(printf, 2, 3))) static void append(struct log_line *line, const char *format,
                                                         ...)
{
    if (line->size == 0)
        return;
    size_t room = sizeof line->text - LOG_TAIL - line->size;
    va_list args;
    va_start(args, format);
    int length = vsnprintf(line->text + line->size, room, format, args);
    va_end(args);
    if (length > 0 && (size_t)length < room)
        line->size += (size_t)length;
}

/* ASCII only: every other byte becomes \u00XX, so that a client cannot forge a line or a terminal
   sequence. */
static void append_text(struct log_line *line, const char *key, const char *text, size_t most)
{
    char escaped[LOG_ESCAPED];
    size_t size = 0;
    if (line->size == 0)
        return;
    for (size_t i = 0; text[i] != '\0' && i < most; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
            size += (size_t)snprintf(escaped + size, sizeof escaped - size, "\\u%04x", c);
        else
            escaped[size++] = (char)c;
    }
    escaped[size] = '\0';
    append(line, ",\"%s\":\"%s\"", key, escaped);
}

void log_open(struct log_line *line, enum log_level level, const char *event)
{
    line->size = 0;
    if (level < log_least)
        return;
    struct timespec now;
    struct tm utc;
    char stamp[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    line->text[0] = '{';
    line->size = 1;
    append(line, "\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"event\":\"%s\"", stamp,
           now.tv_nsec / 1000000, log_names[level], event);
}

void log_text(struct log_line *line, const char *key, const char *text)
{
    append_text(line, key, text, LOG_TEXT);
}

void log_integer(struct log_line *line, const char *key, int64_t value)
{
    append(line, ",\"%s\":%lld", key, (long long)value);
}

void log_real(struct log_line *line, const char *key, double value, int decimals)
{
    if (isfinite(value))
        append(line, ",\"%s\":%.*f", key, decimals, value);
    else
        append(line, ",\"%s\":null", key);
}

void log_close(struct log_line *line)
{
    if (line->size == 0)
        return;
    memcpy(line->text + line->size, "}\n", LOG_TAIL);
    /* A log that cannot be written has nowhere to say so. */
    if (write(STDERR_FILENO, line->text, line->size + LOG_TAIL) < 0)
        return;
}

void log_message(enum log_level level, const char *event, const char *format, ...)
{
    char message[LOG_MESSAGE];
    struct log_line line;
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    log_open(&line, level, event);
    append_text(&line, "message", message, LOG_MESSAGE);
    log_close(&line);
}
