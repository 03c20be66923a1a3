"""A crawler whose work is in a Queue and whose memory is a Dict. It crawls a site of three pages that is written here."""

import queue

import postern as modal

app = modal.App("example-dicts-and-queues")

PAGES = {"/": ["/a", "/b"], "/a": ["/", "/b"], "/b": ["/", "/missing"]}


@app.function(max_containers=3)
def crawl_pages(q: modal.Queue, d: modal.Dict) -> int:
    crawled = 0
    while True:
        try:
            urls = q.get_many(5, timeout=2)
        except queue.Empty:
            return crawled
        for url in urls or []:
            if url not in PAGES or not d.put(url, True, skip_if_exists=True):
                continue
            crawled += 1
            q.put_many([link for link in PAGES[url] if link not in d])
        if not urls:
            return crawled


@app.function(max_containers=1)
def scrape(starting_url: str) -> list[str]:
    with modal.Dict.ephemeral() as d, modal.Queue.ephemeral() as q:
        q.put(starting_url)
        crawl_pages.for_each([q] * 2, [d] * 2)
        return sorted(d.keys())


@app.local_entrypoint()
def main(starting_url: str = "/"):
    print(scrape.remote(starting_url))
