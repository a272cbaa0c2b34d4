/*
 * Programs beside weir that have the libraries which nothing else here needs: some verbs are theirs.
 */
#ifndef CMD_NEIGHBOUR_PROGRAM_H
#define CMD_NEIGHBOUR_PROGRAM_H

/**
 * Becomes `neighbour`, which lies beside the running program or in PATH, with the arguments `word` (may be NULL) and argv.
 * Comes back only when it cannot be run: EXIT_FAILURE, after a message of "PROGRAM VERB".
 */
int neighbour_program(const char *neighbour, const char *word, const char *program, const char *verb, int argc,
                      char *const argv[]);

#endif
