"""A browser of the table, which is many processes with sandboxes."""
from stage import Outcome, program

PAGE = """<!doctype html><title>before</title><ul id="list"></ul><canvas id="c" width="64" height="64"></canvas><script>
  setTimeout(async () => {
    let sum = 0;
    for (let i = 0; i < 2e6; i++) sum = (sum * 31 + i) | 0;
    for (let i = 0; i < 200; i++) { const li = document.createElement('li'); li.textContent = 'item ' + i * i; list.append(li); }
    const pen = c.getContext('2d'); pen.fillStyle = 'rgb(10, 200, 30)'; pen.fillRect(0, 0, 64, 64);
    const hash = await crypto.subtle?.digest('SHA-256', new TextEncoder().encode(list.textContent));
    document.title = ['after', sum, ...pen.getImageData(9, 9, 1, 1).data, ...new Uint8Array(hash ?? [])].join(',');
  }, 50);
</script>"""
QUIET_BROWSER = ["--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


def browse(stage, *more, **options):
    (stage.directory / "page.html").write_text(PAGE)
    result = stage.run(["chromium", *QUIET_BROWSER, *more, f"--user-data-dir={stage.path('profile')}", "--virtual-time-budget=20000", "--dump-dom",
                        f"file://{stage.path('page.html')}"], **options)
    # What it writes to stderr depends on what the machine has (a D-Bus, an X server) and on time.
    return Outcome(result.stdout, result.returncode, result.returncode == 0 and "<li>item 39601</li>" in result.stdout and ",10,200,30,255" in result.stdout)


@program("chromium", "headless: a page with script, a canvas and a few hundred elements", "chromium")
def chromium(stage):
    return browse(stage, "--no-sandbox")
