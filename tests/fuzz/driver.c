/*
 * Replays files through a fuzz target with any compiler, so that the seeds are regression tests:
 * each argument is a file, or a directory whose files are taken in name order.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static long replayed;

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return -1;
    }
    /* An exact allocation, so that a sanitizer sees the first byte read past the end. */
    struct stat st;
    uint8_t *data = NULL;
    int rc = -1;
    if (fstat(fileno(file), &st) == 0) {
        size_t size = (size_t)st.st_size;
        data = malloc(size ? size : 1);
        if (data && fread(data, 1, size, file) == size) {
            /* Said before the run: after a crash it is the last line. */
            fprintf(stderr, "# %s\n", path);
            LLVMFuzzerTestOneInput(data, size);
            replayed++;
            rc = 0;
        }
    }
    free(data);
    fclose(file);
    return rc;
}

static int run_dir(const char *path)
{
    struct dirent **names;
    int n = scandir(path, &names, NULL, alphasort);
    if (n < 0) {
        perror(path);
        return -1;
    }
    int rc = 0;
    for (int i = 0; i < n; i++) {
        char full[4096];
        int len = snprintf(full, sizeof(full), "%s/%s", path, names[i]->d_name);
        struct stat st;
        if (len > 0 && (size_t)len < sizeof(full) && stat(full, &st) == 0 && S_ISREG(st.st_mode) &&
            run_file(full) != 0)
            rc = -1;
        free(names[i]);
    }
    free(names);
    return rc;
}

int main(int argc, char **argv)
{
    int rc = 0;
    for (int i = 1; i < argc; i++) {
        struct stat st;
        if (stat(argv[i], &st) != 0) {
            perror(argv[i]);
            rc = 1;
        } else if ((S_ISDIR(st.st_mode) ? run_dir(argv[i]) : run_file(argv[i])) != 0) {
            rc = 1;
        }
    }
    /* A replay of nothing proves nothing. */
    if (replayed == 0) {
        fprintf(stderr, "%s: no input\n", argv[0]);
        rc = 1;
    }
    printf("# %ld inputs\n", replayed);
    return rc;
}
