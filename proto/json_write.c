#include "proto/json_write.h"

#include "core/base/number.h"
#include "proto/json_text.h"

#include <math.h>
#include <string.h>

struct json_writer json_writer(struct buf *out)
{
    return (struct json_writer){.out = out};
}

/* Bytes of the UTF-8 sequence at text, or 0 where there is none. */
static size_t utf8_length(const unsigned char *text, size_t size)
{
    static const unsigned char second_min[] = {[0xe0 - 0xe0] = 0xa0, [0xf0 - 0xe0] = 0x90};
    static const unsigned char second_max[] = {[0xed - 0xe0] = 0x9f, [0xf4 - 0xe0] = 0x8f};
    unsigned char lead = text[0];
    if (lead < 0x80)
        return 1;
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (length > size)
        return 0;
    unsigned char min = 0x80, max = 0xbf;
    if (lead == 0xe0 || lead == 0xf0)
        min = second_min[lead - 0xe0];
    if (lead == 0xed || lead == 0xf4)
        max = second_max[lead - 0xe0];
    if (text[1] < min || text[1] > max)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

/* The escape of a byte that JSON text may not hold as it is, or NULL for a control without a name.
 */
static const char *escape_of(unsigned char c)
{
    switch (c) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\b':
        return "\\b";
    case '\f':
        return "\\f";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        return NULL;
    }
}

static void write_escaped(struct buf *out, unsigned char c)
{
    const char *escape = escape_of(c);
    if (escape)
        buf_text(out, escape);
    else
        buf_printf(out, "\\u%04x", c);
}

/* Bytes that are no UTF-8 (a message that was cut, say) become U+FFFD: what is written always
 * reads. */
static void write_quoted(struct buf *out, const char *text, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t plain = 0; /* start of the run that needs no escape */
    size_t i = 0;
    buf_char(out, '"');
    while (i < size) {
        size_t length = utf8_length(bytes + i, size - i);
        bool escaped = bytes[i] < 0x20 || bytes[i] == '"' || bytes[i] == '\\' || bytes[i] == 0x7f;
        if (length > 0 && !escaped) {
            i += length;
            continue;
        }
        buf_append(out, text + plain, i - plain);
        if (length == 0)
            buf_text(out, "\xef\xbf\xbd");
        else
            write_escaped(out, bytes[i]);
        plain = ++i;
    }
    buf_append(out, text + plain, size - plain);
    buf_char(out, '"');
}

static void write_key(struct json_writer *w, const char *key)
{
    if (w->comma)
        buf_char(w->out, ',');
    if (key) {
        write_quoted(w->out, key, strlen(key));
        buf_char(w->out, ':');
    }
    w->comma = true;
}

static void open_with(struct json_writer *w, const char *key, char bracket)
{
    write_key(w, key);
    buf_char(w->out, bracket);
    w->comma = false;
}

static void close_with(struct json_writer *w, char bracket)
{
    buf_char(w->out, bracket);
    w->comma = true;
}

void json_open_object(struct json_writer *w, const char *key)
{
    open_with(w, key, '{');
}

void json_close_object(struct json_writer *w)
{
    close_with(w, '}');
}

void json_open_array(struct json_writer *w, const char *key)
{
    open_with(w, key, '[');
}

void json_close_array(struct json_writer *w)
{
    close_with(w, ']');
}

void json_write_string(struct json_writer *w, const char *key, const char *text)
{
    json_write_string_n(w, key, text, strlen(text));
}

void json_write_string_n(struct json_writer *w, const char *key, const char *text, size_t size)
{
    write_key(w, key);
    write_quoted(w->out, text, size);
}

void json_write_integer(struct json_writer *w, const char *key, int64_t value)
{
    write_key(w, key);
    char *room = buf_reserve(w->out, NUMBER_TEXT);
    if (room)
        w->out->size += number_write_integer(room, value);
}

void json_write_unsigned(struct json_writer *w, const char *key, uint64_t value)
{
    write_key(w, key);
    buf_printf(w->out, "%llu", (unsigned long long)value);
}

void json_write_number(struct json_writer *w, const char *key, double value)
{
    write_key(w, key);
    char *room = buf_reserve(w->out, NUMBER_TEXT);
    if (!room)
        return;
    if (isfinite(value)) {
        w->out->size += number_write_double(room, value);
    } else {
        memcpy(room, "null", 4);
        w->out->size += 4;
    }
}

void json_write_float(struct json_writer *w, const char *key, float value)
{
    write_key(w, key);
    char *room = buf_reserve(w->out, NUMBER_TEXT);
    if (!room)
        return;
    if (isfinite(value)) {
        w->out->size += number_write_float(room, value);
    } else {
        memcpy(room, "null", 4);
        w->out->size += 4;
    }
}

void json_write_boolean(struct json_writer *w, const char *key, bool value)
{
    write_key(w, key);
    buf_text(w->out, value ? "true" : "false");
}

void json_write_null(struct json_writer *w, const char *key)
{
    write_key(w, key);
    buf_text(w->out, "null");
}

void json_write_raw(struct json_writer *w, const char *key, const char *json, size_t size)
{
    write_key(w, key);
    buf_append(w->out, json, size);
}

void json_write_seed(struct json_writer *w, const char *key, uint64_t seed)
{
    if (seed <= (uint64_t)JSON_SEED_NUMBER_MAX) {
        json_write_unsigned(w, key, seed);
        return;
    }
    write_key(w, key);
    buf_printf(w->out, "\"%llu\"", (unsigned long long)seed);
}
