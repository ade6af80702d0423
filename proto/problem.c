#include "proto/problem.h"

#include "proto/json_write.h"

#include <stdio.h>

static const int problem_statuses[ERR_CODE_COUNT] = {
    [ERR_NONE] = 500,           [ERR_INVALID_JSON] = 400, [ERR_INVALID] = 422,
    [ERR_FORMAT] = 422,         [ERR_NOT_FOUND] = 404,    [ERR_METHOD] = 405,
    [ERR_NOT_ACCEPTABLE] = 406, [ERR_UNSUPPORTED] = 415,  [ERR_TOO_LARGE] = 413,
    [ERR_CONFLICT] = 409,       [ERR_OVERLOADED] = 429,   [ERR_UNAVAILABLE] = 503,
    [ERR_CANCELLED] = 409,      [ERR_NON_FINITE] = 500,   [ERR_NO_SPACE] = 507,
    [ERR_IO] = 500,             [ERR_NOMEM] = 503,        [ERR_INTERNAL] = 500,
    [ERR_MALFORMED] = 400,      [ERR_DEADLINE] = 504,
};

int problem_status(enum err_code code)
{
    return (unsigned)code < ERR_CODE_COUNT ? problem_statuses[code] : 500;
}

static void write_errors(struct json_writer *w, const struct err *err)
{
    /* The empty pointer is the whole body, which only a request has. */
    bool pointer = err->where[0] == '/' || (err->where[0] == '\0' && err->code == ERR_INVALID);
    if (!pointer && err->where[0] == '\0')
        return;
    json_open_array(w, "errors");
    json_open_object(w, NULL);
    json_write_string(w, pointer ? "pointer" : "place", err->where);
    json_write_string(w, "detail", err->message);
    json_close_object(w);
    json_close_array(w);
}

void problem_write(struct buf *out, const struct err *err)
{
    char text[sizeof err->where + sizeof err->message + 32];
    struct json_writer w = json_writer(out);
    json_open_object(&w, NULL);
    snprintf(text, sizeof text, "urn:advectd:problem:%s", err_slug(err->code));
    json_write_string(&w, "type", text);
    json_write_string(&w, "title", err_title(err->code));
    json_write_integer(&w, "status", problem_status(err->code));
    snprintf(text, sizeof text, "%s%s%s", err->where, err->where[0] ? ": " : "", err->message);
    json_write_string(&w, "detail", text);
    write_errors(&w, err);
    json_close_object(&w);
}
