#include "config/config.h"

#include "config/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const struct config config_defaults = {
    .listen = "127.0.0.1:8080",
    .data_dir = "var",
    .kernels = "auto",
    .pin = "auto",
    .log_level = "info",
    .connections = 1000,
    .grace_s = 25,
};

struct setting {
    const char *flag, *variable;
    size_t offset;     /* of the field in struct config */
    bool number;       /* uint64_t, else a text */
    uint64_t min, max; /* of a number */
};

#define CONFIG_TEXT(flag, variable, field)                                                         \
    {                                                                                              \
        flag, variable, offsetof(struct config, field), false, 0, 0                                \
    }
#define CONFIG_NUMBER(flag, variable, field, min, max)                                             \
    {                                                                                              \
        flag, variable, offsetof(struct config, field), true, min, max                             \
    }

static const struct setting config_settings[] = {
    CONFIG_TEXT("--listen", "ADVECTD_LISTEN", listen),
    CONFIG_TEXT("--data-dir", "ADVECTD_DATA_DIR", data_dir),
    CONFIG_TEXT("--kernels", "ADVECTD_KERNELS", kernels),
    CONFIG_TEXT("--pin", "ADVECTD_PIN", pin),
    CONFIG_TEXT("--log-level", "ADVECTD_LOG_LEVEL", log_level),
    CONFIG_NUMBER("--workers", "ADVECTD_WORKERS", workers, 1, LIMIT_WORKERS),
    CONFIG_NUMBER("--connections", "ADVECTD_CONNECTIONS", connections, 4, 100000),
    CONFIG_NUMBER("--grace", "ADVECTD_GRACE", grace_s, 0, 3600),
};

static const struct {
    const char *flag;
    enum config_action action;
} config_actions[] = {
    {"--version", CONFIG_VERSION},
    {"--help", CONFIG_HELP},
    {"--healthcheck", CONFIG_HEALTHCHECK},
};

const char *config_help(void)
{
    return "Usage: advectd [OPTION VALUE]...\n"
           "Serves and trains flow matching models over HTTP.\n"
           "\n"
           "  --listen ADDRESS:PORT  where to listen (127.0.0.1:8080); port 0 takes a free one\n"
           "  --data-dir DIR         datasets, models and jobs (var)\n"
           "  --workers N            threads that integrate (one a processor)\n"
           "  --kernels NAME         vector kernels to use instead of the fastest (auto)\n"
           "  --pin auto|never       a processor for each worker, if they are as many (auto)\n"
           "  --log-level LEVEL      debug, info, warn or error (info)\n"
           "  --connections N        most at a time (1000)\n"
           "  --grace SECONDS        after SIGTERM, for running requests to end (25)\n"
           "  --healthcheck          exit 0 if the daemon at --listen is ready, else 1\n"
           "  --version              versions of this program and of its libraries\n"
           "  --help                 this text\n"
           "\n"
           "Each option can be set in the environment: ADVECTD_LISTEN, ADVECTD_DATA_DIR, ...\n";
}

static int parse_number(uint64_t *out, const char *text, const struct setting *setting,
                        const char *where, struct err *err)
{
    uint64_t value = 0;
    bool ok = *text != '\0';
    for (const char *c = text; ok && *c; c++) {
        ok = *c >= '0' && *c <= '9' && value <= setting->max;
        value = value * 10 + (uint64_t)(*c - '0');
    }
    if (!ok || value < setting->min || value > setting->max)
        return err_set(err, ERR_INVALID, where, "It must be a whole number from %llu to %llu.",
                       (unsigned long long)setting->min, (unsigned long long)setting->max);
    *out = value;
    return 0;
}

static int apply(struct config *config, const struct setting *setting, const char *text,
                 const char *where, struct err *err)
{
    char *field = (char *)config + setting->offset;
    if (setting->number)
        return parse_number((uint64_t *)(void *)field, text, setting, where, err);
    if (*text == '\0')
        return err_set(err, ERR_INVALID, where, "It must not be empty.");
    *(const char **)(void *)field = text;
    return 0;
}

static int read_environment(struct config *config, char *(*environment)(const char *name),
                            struct err *err)
{
    for (size_t i = 0; i < sizeof config_settings / sizeof *config_settings; i++) {
        const struct setting *setting = &config_settings[i];
        const char *text = environment(setting->variable);
        if (text && apply(config, setting, text, setting->variable, err))
            return ERR_INVALID;
    }
    return 0;
}

static const struct setting *find_setting(const char *flag)
{
    for (size_t i = 0; i < sizeof config_settings / sizeof *config_settings; i++) {
        if (strcmp(config_settings[i].flag, flag) == 0)
            return &config_settings[i];
    }
    return NULL;
}

static bool find_action(enum config_action *out, const char *flag)
{
    for (size_t i = 0; i < sizeof config_actions / sizeof *config_actions; i++) {
        if (strcmp(config_actions[i].flag, flag) == 0) {
            *out = config_actions[i].action;
            return true;
        }
    }
    return false;
}

/* "--flag value" or "--flag=value". */
static int read_flags(struct config *config, int argc, char **argv, struct err *err)
{
    for (int i = 1; i < argc; i++) {
        char flag[32];
        size_t size = strcspn(argv[i], "=");
        const char *text = argv[i][size] ? argv[i] + size + 1 : NULL;
        snprintf(flag, sizeof flag, "%.*s", (int)(size < sizeof flag ? size : 0), argv[i]);
        if (!text && find_action(&config->action, flag))
            continue;
        const struct setting *setting = find_setting(flag);
        if (!setting)
            return err_set(err, ERR_INVALID, argv[i], "There is no such option; see --help.");
        if (!text && ++i < argc)
            text = argv[i];
        if (!text)
            return err_set(err, ERR_INVALID, flag, "The option needs a value.");
        if (apply(config, setting, text, flag, err))
            return ERR_INVALID;
    }
    return 0;
}

int config_read(struct config *out, int argc, char **argv, char *(*environment)(const char *name),
                struct err *err)
{
    *out = config_defaults;
    int code = read_environment(out, environment, err);
    return code ? code : read_flags(out, argc, argv, err);
}
