// Replaces itself with 2,000 arguments and 1,000 variables; too many are E2BIG.
// compat: variants=pie,static,musl-static
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ARGS = 2000, VARS = 1000, LONG = 100000 };

static char **list(int n, const char *format) {
  char **all = calloc(n + 1, sizeof *all);
  for (int i = 0; i < n; i++) {
    all[i] = malloc(64);
    snprintf(all[i], 64, format, i);
  }
  return all;
}

int main(int argc, char **argv, char **envp) {
  if (argc == 1) {
    char *one = malloc((2 << 20) + 1);
    memset(one, 'x', 2 << 20);
    one[2 << 20] = 0;
    char *too_long[] = {"self", one, NULL};
    int result = execve("/proc/self/exe", too_long, envp);
    printf("too long: %d, E2BIG %d\n", result, errno == E2BIG);
    char *nothing[] = {NULL};
    result = execve("/no/such/file", nothing, nothing);
    printf("no such file: %d, ENOENT %d\n", result, errno == ENOENT);
    result = execve("/tmp", nothing, nothing);
    printf("directory: %d, EACCES %d\n", result, errno == EACCES);
    fflush(stdout);
    char **args = list(ARGS, "argument number %d");
    args[7] = one;
    one[LONG] = 0;
    execve("/proc/self/exe", args, list(VARS, "VARIABLE_%d=value"));
    perror("execve");
    return 1;
  }
  long bytes = 0;
  for (int i = 0; i < argc; i++) bytes += strlen(argv[i]);
  int vars = 0;
  for (; envp[vars]; vars++) bytes += strlen(envp[vars]);
  printf("%d arguments, %d variables, %ld bytes, end %d\n", argc, vars, bytes, argv[argc] == NULL);
  printf("%s, %s, %s\n", argv[1999], envp[999], getenv("VARIABLE_500"));
  printf("aligned %d\n", ((unsigned long)__builtin_frame_address(0) & 15) == 0);
  return 0;
}
