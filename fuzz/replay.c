/* SPDX-License-Identifier: Apache-2.0 */
/* Feeds a harness the files of its corpus, without libFuzzer: every input that once mattered is run
 * by the ordinary tests. Arguments are files and directories; directories are not descended. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PATH_SIZE = 4096 };

/* The bytes lie in a block of exactly their size, so that a sanitizer sees a read beyond. */
static void replay_file(const char *path, size_t size)
{
  uint8_t *data = malloc(size);
  FILE *f = fopen(path, "rb");
  if (f == NULL || (data == NULL && size > 0) || fread(data, 1, size, f) != size) {
    perror(path);
    exit(1);
  }
  fclose(f);
  LLVMFuzzerTestOneInput(data, size);
  free(data);
}

/* Returns how many files were replayed. */
static size_t replay(const char *path, int depth)
{
  struct stat st;
  if (stat(path, &st) != 0) {
    perror(path);
    exit(1);
  }
  if (S_ISREG(st.st_mode)) {
    replay_file(path, (size_t)st.st_size);
    return 1;
  }
  DIR *dir = depth == 0 ? opendir(path) : NULL;
  if (dir == NULL)
    return 0;
  size_t count = 0;
  for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
    char name[PATH_SIZE];
    const int len = snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
    if (entry->d_name[0] != '.' && len > 0 && len < PATH_SIZE)
      count += replay(name, depth + 1);
  }
  closedir(dir);
  return count;
}

int main(int argc, char **argv)
{
  size_t count = 0;
  for (int i = 1; i < argc; i++)
    count += replay(argv[i], 0);
  printf("%zu inputs\n", count);
  return count > 0 ? 0 : 1; /* a corpus that is not there proves nothing */
}
