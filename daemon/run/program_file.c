#include "daemon/run/program_file.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"

#define INTERPRETER_MAX 255 /* bytes of a first line that the kernel looks at */

static bool is_executable(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* --- scripts -------------------------------------------------------------------------------------- */

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* Takes a word off the front of a line. */
static struct span next_word(struct span *line)
{
    while (line->len > 0 && is_blank(*line->ptr))
        *line = span_of(line->ptr + 1, line->len - 1);
    struct span word = {line->ptr, 0};
    while (word.len < line->len && !is_blank(line->ptr[word.len]))
        word.len++;
    *line = span_of(line->ptr + word.len, line->len - word.len);
    return word;
}

static bool in_path(struct span name, const char *path)
{
    char file[PATH_MAX];
    while (*path) {
        size_t len = strcspn(path, ":");
        int n = snprintf(file, sizeof(file), "%.*s/%.*s", (int)len, path, SPAN_ARG(name));
        if (len > 0 && n > 0 && (size_t)n < sizeof(file) && is_executable(file))
            return true;
        path += len + (path[len] == ':');
    }
    return false;
}

/* "#!/usr/bin/env NAME": the kernel only sees env. */
static int check_env(struct span name, const char *path, struct err *err)
{
    bool plain = name.len > 0 && name.ptr[0] != '-' && !memchr(name.ptr, '/', name.len) &&
                 !memchr(name.ptr, '=', name.len);
    if (!path || !plain || in_path(name, path))
        return 0;
    return err_set(err, ERR_INVALID, "the program asks for %.*s, which is not in the PATH %.100s", SPAN_ARG(name), path);
}

static int check_interpreter(struct span word, struct err *err)
{
    char path[INTERPRETER_MAX + 1];
    snprintf(path, sizeof(path), "%.*s", SPAN_ARG(word));
    if (path[0] != '/' || is_executable(path)) /* relative: to where it will run */
        return 0;
    if (word.len > 1 && word.ptr[word.len - 1] == '\r')
        return err_set(err, ERR_INVALID, "the program's first line ends in CR LF; end its lines in LF alone");
    return err_set(err, ERR_INVALID, "the program's interpreter %.150s is not there, or may not be executed", path);
}

static int check_script(struct span head, const char *path, struct err *err)
{
    const uint8_t *end = memchr(head.ptr, '\n', head.len);
    struct span line = {head.ptr + 2, (end ? (size_t)(end - head.ptr) : head.len) - 2};
    if (line.len > INTERPRETER_MAX - 2)
        line.len = INTERPRETER_MAX - 2;
    struct span interpreter = next_word(&line);
    if (interpreter.len == 0)
        return err_set(err, ERR_INVALID, "the program begins with #! but names no interpreter");
    int rc = check_interpreter(interpreter, err);
    bool env = interpreter.len >= 4 && memcmp(interpreter.ptr + interpreter.len - 4, "/env", 4) == 0;
    return rc == 0 && env ? check_env(next_word(&line), path, err) : rc;
}

/* --- ELF ------------------------------------------------------------------------------------------- */

/* What identifies a machine lies at the same place in 32-bit and 64-bit headers. */
static int check_elf(struct span head, struct err *err)
{
    Elf64_Ehdr own, file;
    CLEAN_FD int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (head.len < sizeof(Elf32_Ehdr))
        return err_set(err, ERR_INVALID, "the program is a cut ELF file");
    memset(&file, 0, sizeof(file));
    memcpy(&file, head.ptr, head.len < sizeof(file) ? head.len : sizeof(file));
    if (file.e_type != ET_EXEC && file.e_type != ET_DYN)
        return err_set(err, ERR_INVALID, "the program is an ELF file, but not one that can be run");
    if (fd < 0 || read(fd, &own, sizeof(own)) != (ssize_t)sizeof(own))
        return 0; /* nothing to compare with: running it will tell */
    bool small_kin = own.e_machine == EM_X86_64 && file.e_machine == EM_386;
    if (file.e_ident[EI_DATA] != own.e_ident[EI_DATA] || (file.e_machine != own.e_machine && !small_kin))
        return err_set(err, ERR_INVALID, "the program is an ELF file for another machine (%u; this is %u)",
                       file.e_machine, own.e_machine);
    return 0;
}

int program_check(enum program_form form, struct span head, const char *path, struct err *err)
{
    switch (form) {
    case FORM_NONE:
        return err_set(err, ERR_INVALID, "the definition has no content: there is no program to run");
    case FORM_SCRIPT:
        return check_script(head, path, err);
    case FORM_ELF:
        return check_elf(head, err);
    case FORM_OTHER:
        return check_interpreter(span_str(PROGRAM_SHELL), err);
    }
    return 0;
}
