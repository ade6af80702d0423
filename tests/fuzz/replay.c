/* Main of a fuzz target without libFuzzer: runs it over every file below the folders it is given,
   and over changes of each: all prefixes, single bytes replaced, the file twice. */
#include "core/base/check.h"
#include "core/base/mem.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum {
    SEED_MAX = 1 << 20,
    CHANGED_MAX = 2048, /* bytes of a seed that are cut and replaced one by one */
    PATH_TEXT = 1024,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t seeds, inputs;

/* On a copy of exactly that size, so that a sanitizer sees every read past the end. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = mem_alloc(size, 1);
    check(copy != NULL);
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    mem_free(copy);
    inputs++;
}

static void run_changed(uint8_t *data, size_t size)
{
    static const uint8_t replacements[] = {0x00, '"', '[', '9'};
    size_t end = size < CHANGED_MAX ? size : CHANGED_MAX;
    for (size_t i = 0; i < end; i++) {
        uint8_t kept = data[i];
        run(data, i);
        for (size_t j = 0; j < sizeof replacements; j++) {
            data[i] = replacements[j];
            run(data, size);
        }
        for (int bit = 0; bit < 8; bit += 3) {
            data[i] = (uint8_t)(kept ^ (1 << bit));
            run(data, size);
        }
        data[i] = kept;
    }
}

static void run_file(const char *path)
{
    uint8_t *data = mem_alloc(2 * SEED_MAX, 1);
    FILE *file = fopen(path, "rb");
    check(data != NULL && file != NULL);
    size_t size = fread(data, 1, SEED_MAX, file);
    fclose(file);
    run(data, size);
    run_changed(data, size);
    memcpy(data + size, data, size);
    run(data, 2 * size);
    mem_free(data);
    seeds++;
}

static void run_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    char path[PATH_TEXT];
    struct stat info;
    check(dir != NULL);
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        check(stat(path, &info) == 0);
        if (S_ISDIR(info.st_mode))
            run_folder(path);
        else
            run_file(path);
    }
    closedir(dir);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        run_folder(argv[i]);
    printf("%zu inputs\ncounts: %zu passed, 0 failed\n", inputs, seeds);
    return seeds == 0;
}
