/* Shows where and as whom it runs, then the files that its arguments name; "-" reads descriptor 0, "!" writes to 2,
 * "+FILE" makes one, "=FILE" opens one for writing, "%FILE" fills one with 300 MB. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
    char cwd[4096] = "?";
    struct utsname u;
    struct stat st;

    umask(0);
    uname(&u);
    printf("%s %d %s\n", getcwd(cwd, sizeof cwd), (int)getuid(), u.nodename);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-") == 0)
            printf("read %d\n", (int)read(0, cwd, sizeof cwd));
        else if (strcmp(argv[i], "!") == 0)
            printf("wrote %d\n", (int)write(2, "secret", 6));
        else if (argv[i][0] == '+')
            printf("made %d\n", open(argv[i] + 1, O_CREAT | O_EXCL | O_WRONLY, 0666) >= 0);
        else if (argv[i][0] == '%') { /* fills a file */
            static char data[1 << 20];
            int f = open(argv[i] + 1, O_CREAT | O_WRONLY, 0666), n = 0;

            memset(data, 'x', sizeof data);
            while (n < 300 && write(f, data, sizeof data) > 0)
                n++;
            printf("filled %d\n", n);
            fflush(stdout);
        } else if (argv[i][0] == '=')
            printf("opened %d\n", open(argv[i] + 1, O_WRONLY) >= 0);
        else if (stat(argv[i], &st) == 0)
            printf("%s %o %d\n", argv[i], st.st_mode, access(argv[i], W_OK));
        else
            printf("[%s] is no file\n", argv[i]);
    }
    return 7;
}
