#include "config/limits.h"
#include "core/base/buf.h"
#include "core/base/mem.h"
#include "proto/pickle.h"
#include "tests/unit/unit.h"

#include <string.h>

#define MLP                                                                                        \
    "\x80\x02"                                                                                     \
    "c__main__\nMLP\n)\x81"
#define SYSTEM                                                                                     \
    "\x80\x02"                                                                                     \
    "cos\nsystem\n"
#define MEMBERS "(X\x0b\0\0\0_parameters}X\x08\0\0\0_buffers}X\x08\0\0\0_modules}u"
#define STATE "}" MEMBERS
#define BYTES(text) text, sizeof text - 1

/* Reads an exact copy, so that AddressSanitizer sees every read past the end. */
static int read_copy(struct pickle *out, const void *bytes, size_t size, struct err *err)
{
    static unsigned char *copy;
    mem_free(copy);
    copy = mem_alloc(size, 1);
    memcpy(copy, bytes, size);
    *err = (struct err){0};
    int code = pickle_read(out, copy, size, err);
    ck_assert_int_eq(err->code, code);
    ck_assert(code == 0 || err->message[0]);
    if (code) {
        mem_free(copy);
        copy = NULL;
    }
    return code;
}

static void read_good(struct pickle *out, const void *bytes, size_t size)
{
    struct err err;
    ck_assert_msg(read_copy(out, bytes, size, &err) == 0, "%s: %s", err.where, err.message);
}

static void assert_refused(const void *bytes, size_t size, enum err_code code, const char *message)
{
    struct pickle pickle;
    struct err err;
    ck_assert_int_eq(read_copy(&pickle, bytes, size, &err), code);
    ck_assert_msg(strstr(err.message, message), "%s: %s", err.where, err.message);
    ck_assert_ptr_nonnull(strstr(err.where, "data.pkl"));
}

START_TEST(integers_of_every_size_keep_their_value)
{
    static const char bytes[] = "\x80\x02(K\xffM\xff\xffJ\xff\xff\xff\xff\x8a\0\x8a\1\xff\x8a\2\xff"
                                "\0\x8a\x08\0\0\0\0\0\0\0\x80\x8b\2\0\0\0\0\x80\x88\x89t.";
    static const int64_t expected[] = {255, 65535, -1, 0, -1, 255, INT64_MIN, -32768, 1, 0};
    struct pickle pickle;
    read_good(&pickle, BYTES(bytes));
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        pickle_ref item = pickle_item(&pickle, pickle.root, i);
        ck_assert_int_eq(pickle_kind_of(&pickle, item), PICKLE_INTEGER);
        ck_assert_int_eq(pickle_at(&pickle, item)->integer, expected[i]);
    }
    ck_assert_uint_eq(pickle_item(&pickle, pickle.root, 10), 0);
    pickle_release(&pickle);
}
END_TEST

START_TEST(texts_of_every_opcode_are_read)
{
    static const char bytes[] = "\x80\x04(X\1\0\0\0a\x8c\1b\x8d\1\0\0\0\0\0\0\0cU\1dT\1\0\0\0et.";
    struct pickle pickle;
    read_good(&pickle, BYTES(bytes));
    for (size_t i = 0; i < 5; i++) {
        char expected[] = {(char)('a' + i), '\0'};
        struct pickle_text text = pickle_text(&pickle, pickle_item(&pickle, pickle.root, i));
        ck_assert(pickle_text_is(text, expected));
    }
    ck_assert_uint_eq(pickle_text(&pickle, pickle.root).size, 0);
    pickle_release(&pickle);
}
END_TEST

START_TEST(what_is_never_asked_for_is_plain)
{
    static const char bytes[] = "\x80\x03(NG\0\0\0\0\0\0\0\0C\1xB\1\0\0\0x\x8e\1\0\0\0\0\0\0\0x\x8a"
                                "\x09xxxxxxxxx\x8b\x09\0\0\0xxxxxxxxxt.";
    struct pickle pickle;
    read_good(&pickle, BYTES(bytes));
    ck_assert_uint_eq(pickle_at(&pickle, pickle.root)->size, 7);
    for (size_t i = 0; i < 7; i++)
        ck_assert_int_eq(pickle_kind_of(&pickle, pickle_item(&pickle, pickle.root, i)),
                         PICKLE_PLAIN);
    pickle_release(&pickle);
}
END_TEST

START_TEST(dicts_and_lists_are_filled_in_order)
{
    static const char bytes[] = "\x80\x04\x95\x2a\0\0\0\0\0\0\0}\x94(\x8c\1a]\x94(K\1K\2eK\3as"
                                "\x8c\1bK\4\x8c\1aK\5u.";
    struct pickle pickle;
    struct err err;
    int code = read_copy(&pickle, BYTES(bytes), &err);
    ck_assert_int_eq(code, ERR_FORMAT); /* SETITEM inside of a mark */
    static const char good[] = "\x80\x04}\x94\x8c\1a]\x94(K\1K\2eK\3as(\x8c\1bK\4\x8c\1cK\5u.";
    read_good(&pickle, BYTES(good));
    pickle_ref list = pickle_get(&pickle, pickle.root, "a");
    ck_assert_uint_eq(pickle_at(&pickle, list)->size, 3);
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(pickle_at(&pickle, pickle_item(&pickle, list, i))->integer, (int)i + 1);
    ck_assert_int_eq(pickle_at(&pickle, pickle_get(&pickle, pickle.root, "c"))->integer, 5);
    ck_assert_uint_eq(pickle_get(&pickle, pickle.root, "d"), 0);
    ck_assert_uint_eq(pickle_get(&pickle, list, "a"), 0);
    pickle_release(&pickle);
}
END_TEST

START_TEST(the_last_of_equal_keys_holds_as_in_python)
{
    struct pickle pickle;
    read_good(&pickle, BYTES("\x80\x02}(X\1\0\0\0aK\1X\1\0\0\0aK\2u."));
    ck_assert_int_eq(pickle_at(&pickle, pickle_get(&pickle, pickle.root, "a"))->integer, 2);
    pickle_release(&pickle);
}
END_TEST

START_TEST(a_class_of_the_user_is_known_by_the_state_of_a_module)
{
    struct pickle pickle;
    read_good(&pickle, BYTES(MLP STATE "b."));
    ck_assert_int_eq(pickle_kind_of(&pickle, pickle.root), PICKLE_OBJECT);
    ck_assert(pickle_is_module_state(&pickle, pickle_at(&pickle, pickle.root)->first));
    pickle_release(&pickle);
}
END_TEST

START_TEST(names_that_are_not_listed_are_refused_by_name)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *message;
    } cases[] = {
        {BYTES(SYSTEM "X\1\0\0\0x\x85R."), "os.system is not allowed"},
        {BYTES(SYSTEM "."), "os.system is not allowed"},
        {BYTES(SYSTEM "0N."), "os.system is not allowed"},
        {BYTES(SYSTEM ")\x81."), "os.system is not allowed"},
        {BYTES(SYSTEM ")\x81}b."), "os.system is not allowed"},
        {BYTES(SYSTEM "X\1\0\0\0x\x85\x81."), "os.system is not allowed"},
        {BYTES("\x80\x04\x8c\2os\x8c\6system\x93."), "os.system is not allowed"},
        {BYTES("\x80\x02"
               "cbuiltins\neval\n)R."),
         "builtins.eval is not allowed"},
        {BYTES("\x80\x02"
               "ctorch\nfloat32\n)R."),
         "torch.float32 is not allowed"},
        {BYTES("\x80\x02"
               "ctorch\nFloatStorage\n)R."),
         "torch.FloatStorage is not allowed"},
        {BYTES("\x80\x02"
               "ctorch.nn.modules.linear\nLinear\n)R."),
         "linear.Linear is not allowed"},
        {BYTES("\x80\x02"
               "ccollections\nOrderedDict\n)\x81."),
         "OrderedDict is not allowed"},
        {BYTES(MLP "."), "__main__.MLP is not allowed"},
        {BYTES(MLP "N"
                   "b."),
         "__main__.MLP is not allowed"},
        {BYTES(MLP "K\1K\1s."), "__main__.MLP is not allowed"},
        {BYTES(MLP STATE "b" STATE "b."), "__main__.MLP is not allowed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_refused(cases[i].bytes, cases[i].size, ERR_FORMAT, cases[i].message);
}
END_TEST

START_TEST(a_long_name_is_cut_in_the_message)
{
    struct buf bytes;
    buf_init(&bytes, 4096);
    buf_text(&bytes, "\x80\x02"
                     "c");
    for (int i = 0; i < 500; i++)
        buf_text(&bytes, "m.");
    buf_text(&bytes, "\nx\n)R.");
    assert_refused(bytes.data, bytes.size, ERR_FORMAT, "m.m..x is not allowed in a checkpoint; ");
    buf_release(&bytes);
}
END_TEST

static const struct {
    const char *bytes;
    size_t size;
    const char *message;
} malformed[] = {
    {BYTES(""), "no pickle of protocol"},
    {BYTES("N."), "no pickle of protocol"},
    {BYTES("\x80\x01N."), "2 to 5 are"},
    {BYTES("\x80\x06N."), "2 to 5 are"},
    {BYTES("\x80\x02N"), "without its last opcode"},
    {BYTES("\x80\x02."), "no value on the stack"},
    {BYTES("\x80\x02(."), "no value on the stack"},
    {BYTES("\x80\x02NN."), "more than one value"},
    {BYTES("\x80\x02N.N"), "bytes follow"},
    {BYTES("\x80\x02"
           "0."),
     "no value on the stack"},
    {BYTES("\x80\x02"
           "1."),
     "no mark"},
    {BYTES("\x80\x02t."), "no mark"},
    {BYTES("\x80\x02]Ne."), "no mark"},
    {BYTES("\x80\x02(Ne."), "no value on the stack"},
    {BYTES("\x80\x02(e."), "no value on the stack"},
    {BYTES("\x80\x02((u."), "no value on the stack"},
    {BYTES("\x80\x02N(Ne."), "neither list nor dict"},
    {BYTES("\x80\x02]NNs."), "neither list nor dict"},
    {BYTES("\x80\x02}Na."), "neither list nor dict"},
    {BYTES("\x80\x02}(Nu."), "without a value"},
    {BYTES("\x80\x02\x85."), "no value on the stack"},
    {BYTES("\x80\x02N\x86."), "no value on the stack"},
    {BYTES("\x80\x02N(N\x87."), "no value on the stack"},
    {BYTES("\x80\x02h\0."), "no value of that number"},
    {BYTES("\x80\x02Nj\xff\xff\xff\xff."), "no value of that number"},
    {BYTES("\x80\x02Nq\1."), "not filled in order"},
    {BYTES("\x80\x02Nr\xff\xff\xff\xff."), "not filled in order"},
    {BYTES("\x80\x02q\0."), "no value on the stack"},
    {BYTES("\x80\x02(\x94."), "no value on the stack"},
    {BYTES("\x80\x02"
           "cos\nsystem"),
     "middle of a name"},
    {BYTES("\x80\x02"
           "cos"),
     "middle of a name"},
    {BYTES("\x80\x02"
           "c\n\n."),
     "other characters"},
    {BYTES("\x80\x02"
           "co\"s\nx\n."),
     "other characters"},
    {BYTES("\x80\x04NN\x93."), "other characters"},
    {BYTES("\x80\x02N)R."), "not one of a name"},
    {BYTES("\x80\x02"
           "ctorch\nSize\nNR."),
     "not one of a name"},
    {BYTES("\x80\x02"
           "ccollections\nOrderedDict\n]\x85R."),
     "made with members"},
    {BYTES("\x80\x02NNb."), "a state that has none"},
    {BYTES("\x80\x02NQ."), "no tuple"},
    {BYTES("\x80\x02X\xff\xff\xff\xff."), "middle of a value"},
    {BYTES("\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff."), "middle of a value"},
    {BYTES("\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f."), "middle of a value"},
    {BYTES("\x80\x02\x8b\xff\xff\xff\xff."), "middle of a value"},
    {BYTES("\x80\x02\x8b\0\0\0\x40."), "middle of a value"},
    {BYTES("\x80\x04\x95\3\0\0\0\0\0\0\0N."), "past the end"},
    {BYTES("\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\xffN."), "past the end"},
    {BYTES("\x80\x02I1\n."), "none that torch.save writes"},
    {BYTES("\x80\x02i."), "none that torch.save writes"},
    {BYTES("\x80\x02o."), "none that torch.save writes"},
    {BYTES("\x80\x02\x82\1."), "none that torch.save writes"},
    {BYTES("\x80\x05\x97."), "none that torch.save writes"},
    {BYTES("\x80\x02\xff."), "none that torch.save writes"},
};

START_TEST(malformed_pickles_are_refused)
{
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++)
        assert_refused(malformed[i].bytes, malformed[i].size, ERR_FORMAT, malformed[i].message);
}
END_TEST

static void repeat_more(struct buf *out, const char *piece, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_text(out, piece);
}

/* `start`, `piece` count times, `end`. */
static void repeat(struct buf *out, const char *start, const char *piece, size_t count,
                   const char *end)
{
    buf_clear(out);
    buf_text(out, start);
    repeat_more(out, piece, count);
    buf_text(out, end);
}

START_TEST(more_values_links_or_memos_than_the_limit_are_refused)
{
    /* None, no link, and the list with its mark count, too. */
    static const struct {
        const char *start, *piece, *end;
        size_t fits;
    } cases[] = {
        {"\x80\x02](", "]", "e.", LIMIT_PICKLE_VALUES - 2},
        {"\x80\x02](", "N", "e.", LIMIT_PICKLE_VALUES - 2},
        {"\x80\x02](e(", "Ne(", "e.", LIMIT_PICKLE_VALUES - 1},
        {"\x80\x04N", "\x94", ".", LIMIT_PICKLE_VALUES},
    };
    struct buf bytes;
    buf_init(&bytes, 8u << 20);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pickle pickle;
        repeat(&bytes, cases[i].start, cases[i].piece, cases[i].fits, cases[i].end);
        read_good(&pickle, bytes.data, bytes.size);
        pickle_release(&pickle);
        repeat(&bytes, cases[i].start, cases[i].piece, cases[i].fits + 1, cases[i].end);
        assert_refused(bytes.data, bytes.size, ERR_TOO_LARGE, "more values than are read");
    }
    buf_release(&bytes);
}
END_TEST

START_TEST(a_pickle_over_the_limit_is_refused_unread)
{
    struct pickle pickle;
    struct err err = {0};
    size_t size = LIMIT_PICKLE_BYTES + 1;
    ck_assert_int_eq(pickle_read(&pickle, (const unsigned char *)"", size, &err), ERR_TOO_LARGE);
    ck_assert_str_eq(err.message, "may have at most 16777216 bytes, got 16777217");
}
END_TEST

START_TEST(looking_the_same_dict_through_again_and_again_ends)
{
    struct buf bytes;
    buf_init(&bytes, 1u << 20);
    /* The state of 100 modules: a dict of 2^16 keys, of which each is asked for three. */
    repeat(&bytes,
           "\x80\x04N\x94"
           "0}\x94(",
           "K\1N", 1u << 16, "u");
    buf_append(&bytes, BYTES(MEMBERS));
    repeat_more(&bytes, "c__main__\nX\n)\x81h\1b0", 100);
    buf_text(&bytes, ".");
    assert_refused(bytes.data, bytes.size, ERR_FORMAT, "its own parts too often");
    buf_release(&bytes);
}
END_TEST

static size_t read_golden(struct buf *out, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, SOURCE_ROOT "/tests/fuzz/corpus/pickle/%s", name);
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file, "%s", path);
    buf_init(out, 1 << 16);
    out->size = fread(buf_reserve(out, 1 << 16), 1, 1 << 16, file);
    fclose(file);
    return out->size;
}

static const char *const golden[] = {"module", "state_dict", "protocol4", "lightning"};
enum { GOLDEN_COUNT = sizeof golden / sizeof golden[0] };

START_TEST(every_prefix_of_a_pickle_is_refused)
{
    struct buf bytes;
    size_t size = read_golden(&bytes, golden[_i]);
    ck_assert_uint_gt(size, 100);
    for (size_t end = 0; end < size; end++) {
        struct pickle pickle;
        struct err err;
        ck_assert_int_eq(read_copy(&pickle, bytes.data, end, &err), ERR_FORMAT);
    }
    buf_release(&bytes);
}
END_TEST

START_TEST(a_pickle_with_any_bit_turned_is_read_or_refused)
{
    struct buf bytes;
    size_t size = read_golden(&bytes, golden[_i]);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        struct pickle pickle;
        struct err err;
        bytes.data[bit / 8] = (char)(bytes.data[bit / 8] ^ 1 << bit % 8);
        if (read_copy(&pickle, bytes.data, size, &err) == 0)
            pickle_release(&pickle);
        bytes.data[bit / 8] = (char)(bytes.data[bit / 8] ^ 1 << bit % 8);
    }
    buf_release(&bytes);
}
END_TEST

START_TEST(every_failed_allocation_is_reported)
{
    struct buf bytes;
    size_t size = read_golden(&bytes, "module");
    struct pickle pickle;
    int code = ERR_NOMEM;
    for (size_t after = 0; code == ERR_NOMEM; after++) {
        struct err err = {0};
        mem_fail_after(after);
        code = pickle_read(&pickle, (unsigned char *)bytes.data, size, &err);
        mem_fail_after(SIZE_MAX);
        ck_assert_int_eq(code, err.code);
    }
    ck_assert_int_eq(code, 0);
    pickle_release(&pickle);
    buf_release(&bytes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pickle");
    TCase *tests = tcase_create("pickle");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, integers_of_every_size_keep_their_value);
    tcase_add_test(tests, texts_of_every_opcode_are_read);
    tcase_add_test(tests, what_is_never_asked_for_is_plain);
    tcase_add_test(tests, dicts_and_lists_are_filled_in_order);
    tcase_add_test(tests, the_last_of_equal_keys_holds_as_in_python);
    tcase_add_test(tests, a_class_of_the_user_is_known_by_the_state_of_a_module);
    tcase_add_test(tests, names_that_are_not_listed_are_refused_by_name);
    tcase_add_test(tests, a_long_name_is_cut_in_the_message);
    tcase_add_test(tests, malformed_pickles_are_refused);
    tcase_add_test(tests, more_values_links_or_memos_than_the_limit_are_refused);
    tcase_add_test(tests, a_pickle_over_the_limit_is_refused_unread);
    tcase_add_test(tests, looking_the_same_dict_through_again_and_again_ends);
    tcase_add_loop_test(tests, every_prefix_of_a_pickle_is_refused, 0, GOLDEN_COUNT);
    tcase_add_loop_test(tests, a_pickle_with_any_bit_turned_is_read_or_refused, 0, GOLDEN_COUNT);
    tcase_add_test(tests, every_failed_allocation_is_reported);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
