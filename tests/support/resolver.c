/* In place of the system's resolver, for the tests of names that come to lead
 * elsewhere: what ends in `.changing.test` leads to the addresses in the file that
 * `CHANGING_ADDRESSES` names, one a line, as it is at that moment. Loaded before the C
 * library (LD_PRELOAD), so that the program under test is the one that ships. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int resolver(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
    static const char ending[] = ".changing.test";
    resolver *system_resolver = (resolver *)dlsym(RTLD_NEXT, "getaddrinfo");
    size_t length = node ? strlen(node) : 0;
    if (length < strlen(ending) || strcmp(node + length - strlen(ending), ending) != 0)
        return system_resolver(node, service, hints, found);

    const char *path = getenv("CHANGING_ADDRESSES");
    FILE *file = path ? fopen(path, "r") : NULL;
    if (!file)
        return EAI_NONAME;
    struct addrinfo **end = found;
    char line[64];
    int fault = EAI_NONAME;
    *found = NULL;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        fault = system_resolver(line, service, hints, end);
        if (fault)
            break;
        while (*end)
            end = &(*end)->ai_next;
    }
    fclose(file);
    return fault;
}
