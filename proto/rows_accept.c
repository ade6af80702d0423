#include "proto/rows.h"

#include "core/base/number.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const types[] = {
    [ROWS_JSON] = "application/json", [ROWS_NDJSON] = "application/x-ndjson",
    [ROWS_CSV] = "text/csv",          [ROWS_NPY] = "application/x-npy",
    [ROWS_SSE] = "text/event-stream",
};

const char *row_format_type(enum row_format format)
{
    return types[format];
}

/* Text within the header. */
struct span {
    const char *text;
    size_t size;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct span trimmed(struct span span)
{
    while (span.size && is_blank(*span.text)) {
        span.text++;
        span.size--;
    }
    while (span.size && is_blank(span.text[span.size - 1]))
        span.size--;
    return span;
}

/* Takes what stands before the next separator that is not in quotes, and the separator. */
static struct span take_until(struct span *rest, char separator)
{
    bool quoted = false;
    size_t size = 0;
    for (; size < rest->size && (quoted || rest->text[size] != separator); size++) {
        if (rest->text[size] == '"')
            quoted = !quoted;
        else if (quoted && rest->text[size] == '\\' && size + 1 < rest->size)
            size++;
    }
    struct span taken = {rest->text, size};
    size_t used = size < rest->size ? size + 1 : size;
    rest->text += used;
    rest->size -= used;
    return trimmed(taken);
}

static bool span_is(struct span span, const char *text)
{
    return strlen(text) == span.size && strncasecmp(span.text, text, span.size) == 0;
}

/* The weight among the parameters of a range: 1 where there is none, or none that can be read. */
static double read_weight(struct span parameters)
{
    while (parameters.size) {
        struct span value = take_until(&parameters, ';');
        struct span name = take_until(&value, '=');
        double weight;
        value = trimmed(value);
        if (span_is(name, "q") && number_read(value.text, value.size, &weight, NULL, NULL))
            return fmax(0, fmin(weight, 1));
    }
    return 1;
}

enum { MATCH_NONE, MATCH_ANY, MATCH_FAMILY, MATCH_EXACT };

static int match(struct span range, const char *type)
{
    size_t family = strcspn(type, "/") + 1; /* the slash included */
    if (span_is(range, type))
        return MATCH_EXACT;
    if (span_is(range, "*/*") || span_is(range, "*"))
        return MATCH_ANY;
    if (range.size == family + 1 && range.text[family] == '*' &&
        strncasecmp(range.text, type, family) == 0)
        return MATCH_FAMILY;
    return MATCH_NONE;
}

/* What a header says about one type: the word of its most specific range counts. */
struct preference {
    double weight;
    int match;
    size_t position; /* of that range in the header */
};

static struct preference prefer(const char *accept, const char *type)
{
    struct preference best = {0};
    struct span rest = {accept, strlen(accept)};
    for (size_t position = 0; rest.size; position++) {
        struct span parameters = take_until(&rest, ',');
        struct span range = take_until(&parameters, ';');
        struct preference seen = {read_weight(parameters), match(range, type), position};
        if (seen.match > best.match || (seen.match == best.match && seen.weight > best.weight))
            best = seen;
    }
    return best;
}

static bool better(const struct preference *a, const struct preference *b)
{
    if (a->weight > b->weight || a->weight < b->weight)
        return a->weight > b->weight;
    if (a->match != b->match)
        return a->match > b->match;
    return a->position < b->position;
}

static int not_acceptable(const enum row_format *offered, size_t count, struct err *err)
{
    char list[sizeof err->message / 2] = "";
    size_t used = 0;
    for (size_t i = 0; i < count && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "",
                                 types[offered[i]]);
    return err_set(err, ERR_NOT_ACCEPTABLE, "",
                   "none of the media types in Accept can be produced here; these can: %s", list);
}

int row_format_accept(enum row_format *out, const char *accept, const enum row_format *offered,
                      size_t count, struct err *err)
{
    struct preference best = {0};
    if (!accept || accept[strspn(accept, " \t,")] == '\0') {
        *out = offered[0];
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        struct preference seen = prefer(accept, types[offered[i]]);
        if (seen.match && seen.weight > 0 && better(&seen, &best)) {
            *out = offered[i];
            best = seen;
        }
    }
    return best.match ? 0 : not_acceptable(offered, count, err);
}
