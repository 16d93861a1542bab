/* Shows where and as whom it runs, and then the files that its arguments name. */
#include <stdio.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
    char cwd[4096] = "?";
    struct utsname u;
    struct stat st;

    uname(&u);
    printf("%s %d %s\n", getcwd(cwd, sizeof cwd), (int)getuid(), u.nodename);
    for (int i = 1; i < argc; i++) {
        if (stat(argv[i], &st) == 0)
            printf("%s %o %d\n", argv[i], st.st_mode, access(argv[i], W_OK));
        else
            printf("[%s] is no file\n", argv[i]);
    }
    return 7;
}
