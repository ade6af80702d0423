#include "server/http/intake.h"

#include "core/base/check.h"
#include "core/base/mem.h"

#include <string.h>

struct intake {
    struct courier *courier;
    const struct files *files;
    void (*progress)(void *context);
    void *context;
    size_t pieces; /* under way */
    size_t bytes;  /* in them */
    bool orphan;   /* intake_free was called */
    struct call removal;
    /* The courier's while pieces are under way, else the loop's. */
    struct upload *upload;
    struct err err;
};

struct piece {
    struct call call;
    struct intake *intake;
    size_t size;
    char data[];
};

struct intake *intake_new(struct courier *courier, const struct files *files,
                          void (*progress)(void *context), void *context)
{
    struct intake *intake = mem_zalloc(1, sizeof *intake);
    if (intake)
        *intake = (struct intake){
            .courier = courier, .files = files, .progress = progress, .context = context};
    return intake;
}

static struct intake *intake_of_removal(struct call *call)
{
    return (struct intake *)((char *)call - offsetof(struct intake, removal));
}

static void remove_file(struct call *call)
{
    upload_free(intake_of_removal(call)->upload);
}

static void removed(struct call *call)
{
    mem_free(intake_of_removal(call));
}

static void intake_drop(struct intake *intake)
{
    if (!intake->upload) {
        mem_free(intake);
        return;
    }
    intake->removal = (struct call){.work = remove_file, .done = removed};
    courier_submit(intake->courier, &intake->removal);
}

static void write_piece(struct call *call)
{
    struct piece *piece = (struct piece *)call;
    struct intake *intake = piece->intake;
    if (intake->err.code)
        return;
    if (!intake->upload && upload_new(&intake->upload, intake->files, &intake->err))
        return;
    upload_write(intake->upload, piece->data, piece->size, &intake->err);
}

static void piece_written(struct call *call)
{
    struct piece *piece = (struct piece *)call;
    struct intake *intake = piece->intake;
    intake->pieces--;
    intake->bytes -= piece->size;
    mem_free(piece);
    if (!intake->orphan)
        intake->progress(intake->context);
    else if (intake->pieces == 0)
        intake_drop(intake);
}

int intake_push(struct intake *intake, const void *data, size_t size)
{
    struct piece *piece = mem_alloc(1, sizeof *piece + size);
    if (!piece)
        return ERR_NOMEM;
    piece->call = (struct call){.work = write_piece, .done = piece_written};
    piece->intake = intake;
    piece->size = size;
    if (size)
        memcpy(piece->data, data, size);
    intake->pieces++;
    intake->bytes += size;
    courier_submit(intake->courier, &piece->call);
    return 0;
}

bool intake_full(const struct intake *intake)
{
    return intake->bytes >= INTAKE_OUTSTANDING;
}

bool intake_idle(const struct intake *intake)
{
    return intake->pieces == 0;
}

int intake_result(const struct intake *intake, struct err *err)
{
    check(intake->pieces == 0);
    if (intake->err.code)
        *err = intake->err;
    return (int)intake->err.code;
}

struct upload *intake_take(struct intake *intake)
{
    check(intake->pieces == 0 && !intake->err.code);
    struct upload *upload = intake->upload;
    intake->upload = NULL;
    return upload;
}

void intake_free(struct intake *intake)
{
    if (!intake)
        return;
    intake->orphan = true;
    if (intake->pieces == 0)
        intake_drop(intake);
}
