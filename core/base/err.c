#include "core/base/err.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
    const char *slug;
    const char *title;
} err_texts[ERR_CODE_COUNT] = {
    [ERR_NONE] = {"none", "No error"},
#define ERR_TEXT(code, slug, title) [ERR_##code] = {slug, title},
    ERR_CODES(ERR_TEXT)
#undef ERR_TEXT
};

int err_set(struct err *err, enum err_code code, const char *where, const char *format, ...)
{
    if (err && err->code == ERR_NONE) {
        va_list args;
        err->code = code;
        snprintf(err->where, sizeof err->where, "%s", where ? where : "");
        va_start(args, format);
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
    }
    return (int)code;
}

static enum err_code err_known(enum err_code code)
{
    return (unsigned)code < ERR_CODE_COUNT ? code : ERR_INTERNAL;
}

const char *err_slug(enum err_code code)
{
    return err_texts[err_known(code)].slug;
}

const char *err_title(enum err_code code)
{
    return err_texts[err_known(code)].title;
}
