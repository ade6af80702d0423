/* Exchanges over real sockets: client and server take turns on one thread. */
#include "server/courier.h"
#include "server/http/httpd.h"
#include "server/http/intake.h"
#include "server/http/listener.h"
#include "server/log.h"
#include "server/metrics.h"
#include "server/store/store.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ECHO_MAX = 1000, SLOW_MAX = 1024 * 1024, UPLOAD_MAX = 64 * 1024 * 1024, TURNS = 20000 };

static uv_loop_t loop;
static struct app app;
static struct sockaddr_storage address;
static char data_dir[32];

/* What handlers saw. */
static uint64_t seen_id;
static int closed_count;
static uint64_t upload_size;
static char seen_text[256];

static void respond(struct exchange *exchange, const void *data, size_t size)
{
    struct buf body;
    buf_init(&body, UPLOAD_MAX);
    buf_append(&body, data, size);
    exchange_respond(exchange, 200, "text/plain", &body);
}

static void handle_echo(struct exchange *exchange, struct app *unused)
{
    size_t size;
    (void)unused;
    const char *body = exchange_body(exchange, &size);
    respond(exchange, body, size);
}

static void on_closed(void *context)
{
    (void)context;
    closed_count++;
}

static void handle_later(struct exchange *exchange, struct app *unused)
{
    (void)unused;
    seen_id = exchange_id(exchange);
    exchange_on_close(exchange, on_closed, NULL);
}

/* Answers the request that waits, and its own. */
static void handle_wake(struct exchange *exchange, struct app *unused)
{
    (void)unused;
    respond(httpd_find(app.httpd, seen_id), "woken", 5);
    respond(exchange, "done", 4);
}

static void handle_names(struct exchange *exchange, struct app *unused)
{
    const char *key = exchange_query(exchange, "k y");
    (void)unused;
    snprintf(seen_text, sizeof seen_text, "%s|%s|%s|%s", exchange_param(exchange, 0),
             key ? key : "-", exchange_query(exchange, "none") ? "?" : "-",
             exchange_header(exchange, "x-test"));
    exchange_add_header(exchange, "Location", "/here");
    respond(exchange, "", 0);
}

/* A stream whose next bytes the test puts here. */
static struct {
    const char *text;
    bool end, abort;
} source;

static enum stream_result read_source(void *context, char *out, size_t max, size_t *size)
{
    (void)context;
    if (source.abort)
        return STREAM_ABORT;
    if (source.text) {
        *size = strlen(source.text);
        ck_assert_uint_le(*size, max);
        memcpy(out, source.text, *size);
        source.text = NULL;
        return STREAM_DATA;
    }
    return source.end ? STREAM_END : STREAM_WAIT;
}

static void handle_stream(struct exchange *exchange, struct app *unused)
{
    (void)unused;
    seen_id = exchange_id(exchange);
    exchange_stream(exchange, 200, "text/plain", (struct stream){read_source, on_closed, NULL});
}

static void handle_upload(struct exchange *exchange, struct app *unused)
{
    (void)unused;
    struct upload *upload = exchange_take_upload(exchange);
    upload_size = upload->size;
    upload_free(upload);
    respond(exchange, "stored", 6);
}

static void refuse(struct exchange *exchange, struct app *unused)
{
    struct err err = {0};
    (void)unused;
    err_set(&err, ERR_OVERLOADED, "", "Come back later.");
    exchange_problem(exchange, &err);
}

static const struct route test_routes[] = {
    {.method = "POST",
     .path = "/echo",
     .body = BODY_MEMORY,
     .body_max = ECHO_MAX,
     .operation = "echo",
     .handle = handle_echo},
    {.method = "POST",
     .path = "/typed",
     .body = BODY_MEMORY,
     .body_max = ECHO_MAX,
     .type = "application/json",
     .operation = "typed",
     .handle = handle_echo},
    {.method = "POST",
     .path = "/full",
     .body = BODY_MEMORY,
     .body_max = ECHO_MAX,
     .operation = "full",
     .begin = refuse,
     .handle = handle_echo},
    {.method = "POST",
     .path = "/slow",
     .body = BODY_MEMORY,
     .body_max = SLOW_MAX,
     .operation = "slow",
     .handle = handle_later},
    {.method = "GET", .path = "/wake", .operation = "wake", .handle = handle_wake},
    {.method = "GET", .path = "/later", .operation = "later", .handle = handle_later},
    {.method = "GET", .path = "/names/{name}", .operation = "names", .handle = handle_names},
    {.method = "GET", .path = "/stream", .operation = "stream", .handle = handle_stream},
    {.method = "PUT",
     .path = "/upload",
     .body = BODY_UPLOAD,
     .body_max = UPLOAD_MAX,
     .operation = "upload",
     .handle = handle_upload},
};
static const size_t test_route_count = sizeof test_routes / sizeof *test_routes;
static const struct route_set test_sets[] = {{test_routes, &test_route_count}};

static void set_up(void)
{
    struct httpd_options options = {
        .app = &app, .connection_max = 50, .sets = test_sets, .set_count = 1};
    socklen_t size = sizeof address;
    signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_ERROR);
    snprintf(data_dir, sizeof data_dir, "/tmp/advectd-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(data_dir));
    uv_loop_init(&loop);
    app = (struct app){.loop = &loop, .metrics = metrics_new("test")};
    closed_count = 0;
    memset(&source, 0, sizeof source);
    ck_assert_int_eq(store_open(&app.store, data_dir, NULL), 0);
    ck_assert_int_eq(courier_start(&app.store_courier, &loop, "store", NULL), 0);
    ck_assert_int_eq(listener_parse(&address, "127.0.0.1:0", NULL), 0);
    ck_assert_int_eq(listener_open(&options.listen_fd, &address, NULL), 0);
    getsockname(options.listen_fd, (struct sockaddr *)&address, &size);
    ck_assert_int_eq(httpd_start(&app.httpd, &options, NULL), 0);
}

/* Uploads that were dropped left no file. */
static void check_no_temp_files(void)
{
    struct files_list list;
    ck_assert_int_eq(files_list(store_files(app.store)->tmp, &list, NULL), 0);
    ck_assert_uint_eq(list.count, 0);
    files_list_free(&list);
}

static int remove_entry(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    (void)stat;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void tear_down(void)
{
    httpd_stop(app.httpd);
    courier_stop(app.store_courier);
    check_no_temp_files();
    store_close(app.store);
    metrics_free(app.metrics);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    ck_assert_int_eq(nftw(data_dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static int connect_client(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(struct sockaddr_in)), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void turn(void)
{
    uv_run(&loop, UV_RUN_NOWAIT);
    usleep(50);
}

/* Sends all, however slowly the server takes it. */
static void send_all(int fd, const char *data, size_t size)
{
    for (int i = 0; size > 0 && i < TURNS; i++) {
        ssize_t sent = send(fd, data, size, 0);
        if (sent > 0) {
            data += sent;
            size -= (size_t)sent;
        }
        turn();
    }
    ck_assert_uint_eq(size, 0);
}

static void send_text(int fd, const char *text)
{
    send_all(fd, text, strlen(text));
}

static char received[70000];

/* Reads until `until` has come (NULL: until the server closes). received holds all, NUL-terminated.
 */
static void receive(int fd, const char *until)
{
    size_t size = 0;
    received[0] = '\0';
    for (int i = 0; i < TURNS; i++) {
        ssize_t got = recv(fd, received + size, sizeof received - 1 - size, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN)) {
            ck_assert_msg(!until, "closed before %s: %s", until, received);
            return;
        }
        size += got > 0 ? (size_t)got : 0;
        received[size] = '\0';
        if (until && strstr(received, until))
            return;
        turn();
    }
    ck_abort_msg("no answer with %s in: %s", until ? until : "an end", received);
}

static void turn_until_closed(int count)
{
    for (int i = 0; closed_count < count && i < TURNS; i++)
        turn();
    ck_assert_int_eq(closed_count, count);
}

#define HOST "Host: a\r\n"

START_TEST(a_body_comes_whole_however_it_was_sent)
{
    int fd = connect_client();
    send_text(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhe");
    for (int i = 0; i < 20; i++)
        turn();
    send_text(fd, "llo");
    receive(fd, "\r\n\r\nhello");
    ck_assert_ptr_nonnull(strstr(received, "HTTP/1.1 200 "));
    send_text(fd, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 100; i++)
        send_text(fd, "1\r\nx\r\n");
    send_text(fd, "0\r\n\r\n");
    receive(fd, "xxxxxxxxxx");
    ck_assert_ptr_nonnull(strstr(received, "Content-Length: 100\r\n"));
    send_text(fd, "POST /echo HTTP/1.1\r\n" HOST "\r\n");
    receive(fd, "Content-Length: 0\r\n");
    close(fd);
}
END_TEST

START_TEST(a_body_over_the_limit_is_413_announced_or_not)
{
    char chunk[600] = "200\r\n";
    memset(chunk + 5, 'x', 512);
    memcpy(chunk + 517, "\r\n", 3);
    int fd = connect_client();
    send_text(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1001\r\n\r\n");
    receive(fd, NULL);
    ck_assert_ptr_nonnull(strstr(received, "HTTP/1.1 413 "));
    ck_assert_ptr_nonnull(strstr(received, "at most 1000 bytes"));
    close(fd);
    fd = connect_client();
    send_text(fd, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 100; i++)
        send_text(fd, chunk);
    send_text(fd, "0\r\n\r\nGET /later HTTP/1.1\r\n" HOST "\r\n");
    receive(fd, NULL);
    ck_assert_ptr_nonnull(strstr(received, "HTTP/1.1 413 "));
    close(fd);
}
END_TEST

START_TEST(an_endless_body_behind_a_413_is_cut)
{
    static char piece[6 + 0xfff0 + 2] = "fff0\r\n";
    int fd = connect_client();
    memset(piece + 6, 'x', 0xfff0);
    memcpy(piece + 6 + 0xfff0, "\r\n", 2);
    send_text(fd, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
    bool cut = false;
    size_t at = 0;
    for (int i = 0; !cut && i < TURNS; i++) {
        ssize_t sent = send(fd, piece + at, sizeof piece - at, 0);
        at = (at + (sent > 0 ? (size_t)sent : 0)) % sizeof piece;
        cut = sent < 0 && errno != EAGAIN;
        turn();
    }
    ck_assert(cut);
    close(fd);
}
END_TEST

START_TEST(types_are_checked_and_begin_can_refuse_before_the_body)
{
    int fd = connect_client();
    send_text(fd, "POST /typed HTTP/1.1\r\n" HOST "Content-Type: text/plain\r\n"
                  "Content-Length: 100\r\n\r\n");
    receive(fd, NULL);
    ck_assert_ptr_nonnull(strstr(received, "HTTP/1.1 415 "));
    ck_assert_ptr_nonnull(strstr(received, "application/json"));
    close(fd);
    fd = connect_client();
    send_text(fd, "POST /typed HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n");
    receive(fd, NULL);
    ck_assert_ptr_nonnull(strstr(received, "HTTP/1.1 415 "));
    close(fd);
    fd = connect_client();
    send_text(fd, "POST /typed HTTP/1.1\r\n" HOST "Content-Type: Application/JSON;charset=utf-8\r\n"
                  "Content-Length: 2\r\n\r\n{}");
    receive(fd, "\r\n\r\n{}");
    close(fd);
    fd = connect_client();
    send_text(fd, "POST /full HTTP/1.1\r\n" HOST "Content-Length: 100\r\n\r\n");
    receive(fd, NULL);
    ck_assert_ptr_nonnull(strstr(received, "HTTP/1.1 429 "));
    ck_assert_ptr_nonnull(strstr(received, "Retry-After: 1\r\n"));
    close(fd);
}
END_TEST

START_TEST(an_answer_may_come_later_and_then_the_next_request_is_read)
{
    int fd = connect_client();
    send_text(fd, "GET /later HTTP/1.1\r\n" HOST "\r\nPOST /echo HTTP/1.1\r\n" HOST
                  "Content-Length: 3\r\n\r\nabc");
    for (int i = 0; i < 50; i++)
        turn();
    ck_assert_int_lt(recv(fd, received, 1, 0), 0);
    struct exchange *exchange = httpd_find(app.httpd, seen_id);
    ck_assert_ptr_nonnull(exchange);
    respond(exchange, "late", 4);
    receive(fd, "\r\n\r\nabc");
    ck_assert_ptr_nonnull(strstr(received, "\r\n\r\nlate"));
    ck_assert_int_eq(closed_count, 1);
    ck_assert_ptr_null(httpd_find(app.httpd, seen_id));
    close(fd);
}
END_TEST

START_TEST(one_request_may_answer_another)
{
    int waiting = connect_client(), waking = connect_client();
    send_text(waiting, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    for (int i = 0; i < 50; i++)
        turn();
    send_text(waking, "GET /wake HTTP/1.1\r\n" HOST "\r\n");
    receive(waiting, "\r\n\r\nwoken");
    receive(waking, "\r\n\r\ndone");
    close(waiting);
    close(waking);
}
END_TEST

START_TEST(a_client_that_leaves_is_noticed_while_its_answer_is_computed)
{
    int fd = connect_client();
    seen_id = 0;
    send_text(fd, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    for (int i = 0; seen_id == 0 && i < TURNS; i++)
        turn();
    ck_assert_ptr_nonnull(httpd_find(app.httpd, seen_id));
    close(fd);
    turn_until_closed(1);
    ck_assert_ptr_null(httpd_find(app.httpd, seen_id));
    for (int i = 0; httpd_connections(app.httpd) > 0 && i < TURNS; i++)
        turn();
    ck_assert_uint_eq(httpd_connections(app.httpd), 0);
    ck_assert_int_eq(closed_count, 1);
}
END_TEST

/* The end of its sending is seen while the body is still read, long before the request waits. */
START_TEST(a_client_that_left_before_is_noticed_too)
{
    static char request[100 * 1024];
    int fd = connect_client();
    memset(request, 'x', sizeof request);
    int head = snprintf(request, sizeof request,
                        "POST /slow HTTP/1.1\r\n" HOST "Content-Length: 102300\r\n\r\n");
    size_t size = (size_t)head + 102300;
    ck_assert_uint_le(size, sizeof request);
    ck_assert_int_eq(send(fd, request, size, 0), (ssize_t)size);
    close(fd);
    turn_until_closed(1);
    ck_assert_ptr_null(httpd_find(app.httpd, seen_id));
}
END_TEST

START_TEST(names_queries_and_headers_reach_the_handler)
{
    int fd = connect_client();
    send_text(fd, "GET /names/a%20b?x=1&k+y=%26%3d&k%20y=2&flag HTTP/1.1\r\n" HOST
                  "X-Test: value\r\n\r\n");
    receive(fd, "Location: /here\r\n");
    ck_assert_str_eq(seen_text, "a b|&=|-|value");
    close(fd);
}
END_TEST

START_TEST(a_stream_sends_each_piece_when_it_is_there)
{
    int fd = connect_client();
    source.text = "first";
    send_text(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    receive(fd, "\r\n\r\n5\r\nfirst\r\n");
    ck_assert_ptr_nonnull(strstr(received, "X-Accel-Buffering: no\r\n"));
    ck_assert_ptr_nonnull(strstr(received, "Transfer-Encoding: chunked\r\n"));
    source.text = "second!";
    exchange_wake(httpd_find(app.httpd, seen_id));
    receive(fd, "7\r\nsecond!\r\n");
    exchange_wake(httpd_find(app.httpd, seen_id));
    ck_assert_int_eq(closed_count, 0);
    source.end = true;
    exchange_wake(httpd_find(app.httpd, seen_id));
    receive(fd, "0\r\n\r\n");
    turn_until_closed(1);
    ck_assert_ptr_null(httpd_find(app.httpd, seen_id));
    close(fd);
}
END_TEST

START_TEST(a_stream_learns_that_its_client_left)
{
    int fd = connect_client();
    source.text = "first";
    send_text(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    receive(fd, "first");
    close(fd);
    turn_until_closed(1);
    ck_assert_ptr_null(httpd_find(app.httpd, seen_id));
}
END_TEST

START_TEST(a_broken_stream_ends_without_its_last_chunk)
{
    int fd = connect_client();
    source.text = "first";
    send_text(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    receive(fd, "first\r\n");
    source.abort = true;
    exchange_wake(httpd_find(app.httpd, seen_id));
    receive(fd, NULL);
    ck_assert_ptr_null(strstr(received, "0\r\n\r\n"));
    turn_until_closed(1);
    close(fd);
}
END_TEST

enum { UPLOAD_BYTES = 8 * 1024 * 1024 };

START_TEST(an_upload_goes_to_its_file_whole)
{
    char *data = calloc(1, UPLOAD_BYTES);
    char head[100];
    int fd = connect_client();
    snprintf(head, sizeof head, "PUT /upload HTTP/1.1\r\n" HOST "Content-Length: %d\r\n\r\n",
             UPLOAD_BYTES);
    send_text(fd, head);
    send_all(fd, data, UPLOAD_BYTES);
    receive(fd, "stored");
    ck_assert_uint_eq(upload_size, UPLOAD_BYTES);
    send_text(fd, "PUT /upload HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 100; i++)
        send_text(fd, "3\r\nabc\r\n2\r\nde\r\n");
    send_text(fd, "0\r\n\r\n");
    receive(fd, "stored");
    ck_assert_uint_eq(upload_size, 500);
    send_text(fd, "PUT /upload HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n");
    receive(fd, "stored");
    ck_assert_uint_eq(upload_size, 0);
    free(data);
    close(fd);
}
END_TEST

static uv_sem_t disk;

static void hold(struct call *call)
{
    (void)call;
    uv_sem_wait(&disk);
}

static void held(struct call *call)
{
    (void)call;
}

START_TEST(an_upload_waits_for_the_disk)
{
    struct call slow = {.work = hold, .done = held};
    char *data = calloc(1, UPLOAD_BYTES);
    int fd = connect_client();
    /* The courier is kept busy: nothing is written, and soon nothing more is taken. */
    uv_sem_init(&disk, 0);
    courier_submit(app.store_courier, &slow);
    send_text(fd, "PUT /upload HTTP/1.1\r\n" HOST "Content-Length: 8388608\r\n\r\n");
    size_t sent = 0;
    for (int i = 0; i < 500; i++) {
        ssize_t now = send(fd, data + sent, UPLOAD_BYTES - sent, 0);
        sent += now > 0 ? (size_t)now : 0;
        turn();
    }
    /* At most the first piece that passes the bound, each of up to half libmicrohttpd's memory. */
    ck_assert_uint_gt(sent, INTAKE_OUTSTANDING);
    ck_assert_uint_lt(courier_pending(app.store_courier), 64);
    uv_sem_post(&disk);
    send_all(fd, data + sent, UPLOAD_BYTES - sent);
    receive(fd, "stored");
    ck_assert_uint_eq(upload_size, UPLOAD_BYTES);
    uv_sem_destroy(&disk);
    free(data);
    close(fd);
}
END_TEST

/* tear_down sees to it that no file is left. */
START_TEST(an_upload_that_ends_early_leaves_no_file)
{
    char piece[30000] = {0};
    int fd = connect_client();
    send_text(fd, "PUT /upload HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\n");
    send_all(fd, piece, sizeof piece);
    close(fd);
    for (int i = 0; httpd_connections(app.httpd) > 0 && i < TURNS; i++)
        turn();
    ck_assert_uint_eq(httpd_connections(app.httpd), 0);
}
END_TEST

START_TEST(cancelling_answers_those_who_wait_and_cuts_streams)
{
    int waiting = connect_client(), streaming = connect_client(), idle = connect_client();
    source.text = "first";
    send_text(streaming, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    receive(streaming, "first");
    send_text(waiting, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    for (int i = 0; i < 50; i++)
        turn();
    app.draining = true;
    httpd_drain(app.httpd);
    receive(idle, NULL);
    ck_assert_int_eq(closed_count, 0);
    httpd_cancel(app.httpd);
    ck_assert_ptr_null(httpd_find(app.httpd, seen_id));
    receive(waiting, NULL);
    ck_assert_ptr_nonnull(strstr(received, "HTTP/1.1 503 "));
    ck_assert_ptr_nonnull(strstr(received, "Connection: close\r\n"));
    receive(streaming, NULL);
    ck_assert_ptr_null(strstr(received, "0\r\n\r\n"));
    turn_until_closed(2);
    ck_assert_uint_eq(httpd_connections(app.httpd), 0);
    close(waiting);
    close(streaming);
    close(idle);
}
END_TEST

START_TEST(stopping_with_suspended_requests_ends_them)
{
    int waiting = connect_client(), streaming = connect_client();
    send_text(waiting, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    send_text(streaming, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    for (int i = 0; i < 50; i++)
        turn();
    httpd_stop(app.httpd);
    app.httpd = NULL;
    ck_assert_int_eq(closed_count, 2);
    close(waiting);
    close(streaming);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("httpd");
    TCase *tests = tcase_create("httpd");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_body_comes_whole_however_it_was_sent);
    tcase_add_test(tests, a_body_over_the_limit_is_413_announced_or_not);
    tcase_add_test(tests, an_endless_body_behind_a_413_is_cut);
    tcase_add_test(tests, types_are_checked_and_begin_can_refuse_before_the_body);
    tcase_add_test(tests, an_answer_may_come_later_and_then_the_next_request_is_read);
    tcase_add_test(tests, one_request_may_answer_another);
    tcase_add_test(tests, a_client_that_leaves_is_noticed_while_its_answer_is_computed);
    tcase_add_test(tests, a_client_that_left_before_is_noticed_too);
    tcase_add_test(tests, names_queries_and_headers_reach_the_handler);
    tcase_add_test(tests, a_stream_sends_each_piece_when_it_is_there);
    tcase_add_test(tests, a_stream_learns_that_its_client_left);
    tcase_add_test(tests, a_broken_stream_ends_without_its_last_chunk);
    tcase_add_test(tests, an_upload_goes_to_its_file_whole);
    tcase_add_test(tests, an_upload_waits_for_the_disk);
    tcase_add_test(tests, an_upload_that_ends_early_leaves_no_file);
    tcase_add_test(tests, cancelling_answers_those_who_wait_and_cuts_streams);
    tcase_add_test(tests, stopping_with_suspended_requests_ends_them);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
