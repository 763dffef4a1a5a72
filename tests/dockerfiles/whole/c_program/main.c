/* Counts the words of its input. */
#include <ctype.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    int c, inside = 0, words = 0;

    if (argc > 1) {
        printf("usage: %s < TEXT\n", argv[0]);
        return 0;
    }
    while ((c = getchar()) != EOF) {
        if (isspace(c))
            inside = 0;
        else if (!inside) {
            inside = 1;
            words++;
        }
    }
    printf("%d\n", words);
    return 0;
}
