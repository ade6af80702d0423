#include "config/config.h"
#include "server/log.h"
#include "server/metrics.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

static const char *variable_name, *variable_value;

static char *environment(const char *name)
{
    return variable_name && strcmp(name, variable_name) == 0 ? (char *)(uintptr_t)variable_value
                                                             : NULL;
}

/* Up to three arguments, NULL at the end of fewer. */
static int read_arguments(struct config *out, const char *a, const char *b, const char *c,
                          struct err *err)
{
    char *argv[] = {(char *)(uintptr_t) "advectd", (char *)(uintptr_t)a, (char *)(uintptr_t)b,
                    (char *)(uintptr_t)c, NULL};
    int argc = 1;
    while (argv[argc])
        argc++;
    return config_read(out, argc, argv, environment, err);
}

START_TEST(flags_go_over_the_environment_and_that_over_defaults)
{
    struct config config;
    variable_name = NULL;
    ck_assert_int_eq(read_arguments(&config, NULL, NULL, NULL, NULL), 0);
    ck_assert_int_eq(config.action, CONFIG_RUN);
    ck_assert_str_eq(config.listen, "127.0.0.1:8080");
    ck_assert_str_eq(config.data_dir, "var");
    ck_assert_uint_eq(config.workers, 0);
    variable_name = "ADVECTD_WORKERS";
    variable_value = "3";
    ck_assert_int_eq(read_arguments(&config, "--data-dir", "x", NULL, NULL), 0);
    ck_assert_uint_eq(config.workers, 3);
    ck_assert_str_eq(config.data_dir, "x");
    ck_assert_int_eq(read_arguments(&config, "--workers=5", "--listen", "[::1]:0", NULL), 0);
    ck_assert_uint_eq(config.workers, 5);
    ck_assert_str_eq(config.listen, "[::1]:0");
    variable_name = NULL;
    ck_assert_int_eq(read_arguments(&config, "--version", NULL, NULL, NULL), 0);
    ck_assert_int_eq(config.action, CONFIG_VERSION);
}
END_TEST

START_TEST(what_cannot_be_a_setting_is_named)
{
    static const struct {
        const char *a, *b, *where;
    } cases[] = {
        {"--workers", "0", "--workers"},   {"--workers", "257", "--workers"},
        {"--workers", "1x", "--workers"},  {"--workers", "", "--workers"},
        {"--workers", "-1", "--workers"},  {"--workers", "18446744073709551617", "--workers"},
        {"--workers", NULL, "--workers"},  {"--listen=", NULL, "--listen"},
        {"--lis", "x", "--lis"},           {"workers", "1", "workers"},
        {"--help=yes", NULL, "--help=yes"}};
    variable_name = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config config;
        struct err err = {0};
        ck_assert_msg(read_arguments(&config, cases[i].a, cases[i].b, NULL, &err) == ERR_INVALID,
                      "%s", cases[i].a);
        ck_assert_str_eq(err.where, cases[i].where);
    }
    struct config config;
    struct err err = {0};
    variable_name = "ADVECTD_GRACE";
    variable_value = "soon";
    ck_assert_int_eq(read_arguments(&config, NULL, NULL, NULL, &err), ERR_INVALID);
    ck_assert_str_eq(err.where, "ADVECTD_GRACE");
}
END_TEST

static int saved_stderr, log_pipe[2];

static void log_begin(void)
{
    saved_stderr = dup(STDERR_FILENO);
    ck_assert_int_eq(pipe(log_pipe), 0);
    dup2(log_pipe[1], STDERR_FILENO);
    close(log_pipe[1]);
}

/* What was logged since log_begin. out: [LOG_LINE * 2]. */
static size_t log_end(char *out)
{
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    ssize_t size = read(log_pipe[0], out, LOG_LINE * 2 - 1);
    close(log_pipe[0]);
    out[size > 0 ? size : 0] = '\0';
    return (size_t)size;
}

START_TEST(a_text_of_a_client_stays_inside_its_line)
{
    static char out[LOG_LINE * 2];
    struct log_line line;
    log_begin();
    log_open(&line, LOG_INFO, "test");
    log_text(&line, "text", "a\"b\\c\r\n\x1b\xff{");
    log_integer(&line, "number", -5);
    log_real(&line, "real", 1.23456, 2);
    log_real(&line, "nan", NAN, 2);
    log_close(&line);
    log_end(out);
    ck_assert_ptr_nonnull(strstr(out, "\"level\":\"info\",\"event\":\"test\","
                                      "\"text\":\"a\\u0022b\\u005cc\\u000d\\u000a\\u001b\\u00ff{\","
                                      "\"number\":-5,\"real\":1.23,\"nan\":null}\n"));
}
END_TEST

START_TEST(a_line_is_cut_at_whole_fields)
{
    static char out[LOG_LINE * 2];
    static char text[1000];
    struct log_line line;
    memset(text, 1, sizeof text - 1);
    log_begin();
    log_open(&line, LOG_ERROR, "test");
    for (int i = 0; i < 10; i++)
        log_text(&line, "text", text);
    log_close(&line);
    size_t size = log_end(out);
    ck_assert_uint_le(size, LOG_LINE);
    ck_assert_uint_gt(size, LOG_LINE / 2);
    ck_assert_str_eq(out + size - 3, "\"}\n");
}
END_TEST

START_TEST(lines_below_the_level_are_not_written)
{
    static char out[LOG_LINE * 2];
    enum log_level level;
    ck_assert_int_eq(log_level_parse(&level, "warn"), 0);
    ck_assert_int_eq(log_level_parse(&level, "WARN"), ERR_INVALID);
    log_set_level(level);
    log_begin();
    log_message(LOG_INFO, "quiet", "%d", 1);
    log_message(LOG_WARN, "loud", "%d", 2);
    log_end(out);
    log_set_level(LOG_INFO);
    ck_assert_ptr_null(strstr(out, "quiet"));
    ck_assert_ptr_nonnull(strstr(out, "\"event\":\"loud\",\"message\":\"2\"}"));
}
END_TEST

static double read_number(void *context)
{
    return *(const double *)context;
}

START_TEST(metrics_count_and_read_gauges)
{
    struct metrics *metrics = metrics_new("1.2");
    struct buf out;
    double two = 2, big = 1e15;
    metrics_request(metrics, "sample", 200, 0.0007);
    metrics_request(metrics, "sample", 200, 100);
    metrics_request(metrics, "sample", 422, 0.002);
    ck_assert_int_eq(metrics_gauge(metrics, "x_jobs{state=\"a\"}", "Jobs.", read_number, &two), 0);
    ck_assert_int_eq(metrics_gauge(metrics, "x_jobs{state=\"b\"}", "Jobs.", read_number, &two), 0);
    ck_assert_int_eq(metrics_counter(metrics, "x_rows_total", "Rows.", read_number, &big), 0);
    buf_init(&out, 65536);
    metrics_write(metrics, &out);
    buf_char(&out, '\0');
    static const char *const lines[] = {
        "advectd_build_info{version=\"1.2\"} 1\n",
        "advectd_http_requests_total{operation=\"sample\",code=\"200\"} 2\n",
        "advectd_http_requests_total{operation=\"sample\",code=\"422\"} 1\n",
        "_bucket{operation=\"sample\",le=\"0.0005\"} 0\n",
        "_bucket{operation=\"sample\",le=\"0.001\"} 1\n",
        "_bucket{operation=\"sample\",le=\"60\"} 2\n",
        "_bucket{operation=\"sample\",le=\"+Inf\"} 3\n",
        "_count{operation=\"sample\"} 3\n",
        "# HELP x_jobs Jobs.\n# TYPE x_jobs gauge\nx_jobs{state=\"a\"} 2\nx_jobs{state=\"b\"} 2\n",
        "# TYPE x_rows_total counter\nx_rows_total 1000000000000000\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        ck_assert_msg(strstr(out.data, lines[i]) != NULL, "%s", lines[i]);
    buf_release(&out);
    metrics_free(metrics);
    metrics_free(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config");
    TCase *tests = tcase_create("config");
    tcase_add_test(tests, flags_go_over_the_environment_and_that_over_defaults);
    tcase_add_test(tests, what_cannot_be_a_setting_is_named);
    tcase_add_test(tests, a_text_of_a_client_stays_inside_its_line);
    tcase_add_test(tests, a_line_is_cut_at_whole_fields);
    tcase_add_test(tests, lines_below_the_level_are_not_written);
    tcase_add_test(tests, metrics_count_and_read_gauges);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
