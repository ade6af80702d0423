/* The log: JSON lines on standard error, one write a line, at most LOG_LINE bytes. */
#ifndef SERVER_LOG_H
#define SERVER_LOG_H

#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

enum {
    LOG_LINE = 4096, /* bytes of a line, the newline included */
    LOG_TEXT = 200,  /* bytes of a text taken from a client */
};

/* On the caller's stack. */
struct log_line {
    size_t size;         /* bytes in text; 0: the level is not logged */
    char text[LOG_LINE]; /* not NUL-terminated */
};

/* Lines below it are not written; LOG_INFO at first. Call it before threads start. */
void log_set_level(enum log_level level);
/* "debug", "info", "warn" or "error"; 0, or ERR_INVALID. */
int log_level_parse(enum log_level *out, const char *name);

/* Thread: any, all below. A line is opened, given fields, and written by log_close; a field that
   does not fit is left out whole. Keys are plain names; texts are escaped and cut at LOG_TEXT
   bytes. */
void log_open(struct log_line *line, enum log_level level, const char *event);
void log_text(struct log_line *line, const char *key, const char *text);
void log_integer(struct log_line *line, const char *key, int64_t value);
void log_real(struct log_line *line, const char *key, double value, int decimals);
void log_close(struct log_line *line);

/* A line with one field, "message". */
void log_message(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
