#include "proto/json_text.h"

#include "config/limits.h"

#include <stdio.h>
#include <string.h>

enum {
    NEAREST_LENGTH = 40,  /* longer names are not compared */
    NEAREST_DISTANCE = 2, /* edits between a slip of the finger and the field that was meant */
};

bool json_text_blank(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (text[i] != ' ' && text[i] != '\t' && text[i] != '\n' && text[i] != '\r')
            return false;
    return true;
}

/* "line 2, column 7" of the byte at `offset`; columns count characters. */
static void place_of(char *place, const char *text, size_t offset)
{
    size_t line = 1, column = 1;
    for (size_t i = 0; i < offset; i++) {
        if (text[i] == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)text[i] & 0xc0) != 0x80) {
            column++;
        }
    }
    snprintf(place, JSON_TEXT_PLACE, "line %zu, column %zu", line, column);
}

static int refuse(const char *text, size_t offset, const char *message, struct err *err)
{
    char place[JSON_TEXT_PLACE];
    place_of(place, text, offset);
    return err_set(err, ERR_INVALID_JSON, place, "%s", message);
}

int json_text_check(const char *text, size_t size, struct err *err)
{
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (c == '\0')
            return refuse(text, i, "the text holds a NUL byte", err);
        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == ']' || c == '}') && depth > 0)
            depth--;
        else if (!in_string && (c == '[' || c == '{') && ++depth > LIMIT_JSON_DEPTH)
            return refuse(text, i, "values nest deeper than 32 levels", err);
    }
    return 0;
}

_Static_assert(LIMIT_JSON_DEPTH == 32, "the message above names the limit");

bool json_text_decimal(const char *text, uint64_t *out)
{
    uint64_t value = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
            return false;
    }
    *out = value;
    return true;
}

/* Levenshtein's distance, one row of the table at a time. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[NEAREST_LENGTH + 1];
    size_t width = strlen(b);
    for (size_t j = 0; j <= width; j++)
        row[j] = j;
    for (size_t i = 1; *a; a++, i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= width; j++) {
            size_t best = diagonal + (*a != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[width];
}

const char *json_text_nearest(const char *key, const char *const *known)
{
    const char *found = NULL;
    size_t best = NEAREST_DISTANCE + 1;
    if (strlen(key) > NEAREST_LENGTH)
        return NULL;
    for (; *known; known++) {
        if (strlen(*known) > NEAREST_LENGTH)
            continue;
        size_t distance = edit_distance(key, *known);
        if (distance < best && distance < strlen(*known)) {
            best = distance;
            found = *known;
        }
    }
    return found;
}
