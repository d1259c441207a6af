# The compiler driver runs the compiler, the assembler and the linker; make runs the driver.
set -e
dir=$(mktemp -d)
cd "$dir"
cat > hello.c <<'END'
#include <stdio.h>
int square(int n);
int main(void) {
    printf("hello %d\n", square(12));
    return 3;
}
END
echo 'int square(int n) { return n * n; }' > square.c
gcc -O1 -pipe hello.c square.c -o hello
./hello || echo "status $?"
printf 'all: hello2\nhello2: hello.o square.o\n\tgcc -o $@ $^\n%%.o: %%.c\n\t@echo compile $<; gcc -c $<\n' > Makefile
make -s -j 2 | sort
./hello2 || echo "status $?"
echo 'int main(void) { return x; }' > wrong.c
gcc wrong.c 2>/dev/null || echo "refused: $?"
cd /
rm -r "$dir"
