// fxc.exe FILE.hlsl ...: compiles each with the d3dcompiler_47.dll that lies beside, as compute shader
// model 5.1; the first line of a file is `// ENTRY`. Prints what it refuses. See fxc.sh.
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <windows.h>

// The only methods of ID3DBlob that are needed.
typedef struct Blob {
    struct {
        void *query, *add_ref;
        ULONG(WINAPI *release)(struct Blob *);
        char *(WINAPI *pointer)(struct Blob *);
        SIZE_T(WINAPI *size)(struct Blob *);
    } *methods;
} Blob;

typedef HRESULT(WINAPI *Compile)(const char *text, SIZE_T size, const char *name, void *defines,
                                 void *include, const char *entry, const char *profile, UINT flags,
                                 UINT effect_flags, Blob **code, Blob **messages);

// The flag of wgpu-hal 30: strict.
enum { FLAGS = 1 << 11, MOST = 4 << 20 };

int main(int count, char **files) {
    Compile compile = (Compile)(void *)GetProcAddress(LoadLibraryA("d3dcompiler_47.dll"), "D3DCompile");
    static char text[MOST], entry[256];
    int failed = 0;
    if (!compile) return puts("FXC: no d3dcompiler_47.dll"), 2;
    for (int i = 1; i < count; i++) {
        FILE *file = fopen(files[i], "rb");
        size_t size = file ? fread(text, 1, MOST - 1, file) : 0;
        if (file) fclose(file);
        text[size] = 0;
        Blob *code = NULL, *messages = NULL;
        clock_t start = clock();
        HRESULT status = E_FAIL;
        if (sscanf(text, "// %255s", entry) == 1)
            status = compile(text, size, files[i], NULL, NULL, entry, "cs_5_1", FLAGS, 0, &code, &messages);
        double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
        if (status != S_OK || !code) {
            failed++;
            printf("FXC: %s: %s\n", files[i], messages ? messages->methods->pointer(messages) : "no code");
        } else if (seconds > 2) {
            printf("FXC: %s: took %.0f s\n", files[i], seconds);
        }
        if (code) code->methods->release(code);
        if (messages) messages->methods->release(messages);
        fflush(stdout);
    }
    printf("FXC: %d shaders, %d failed\n", count - 1, failed);
    return failed > 0 || count < 2;
}
