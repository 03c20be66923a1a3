"""One Django site in both forms, as the guide's chapter on ASGI and WSGI apps has it in words."""

import postern as modal

image = modal.Image.debian_slim().uv_pip_install("django")
app = modal.App("example-django", image=image)


def configure() -> None:
    from django.conf import settings
    from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
    from django.middleware.csrf import get_token
    from django.urls import path

    def where(request):
        return JsonResponse({"url": request.build_absolute_uri(), "client": request.META["REMOTE_ADDR"]})

    def form(request):
        """Django compares the page's origin with scheme and host of the request, and the token with its cookie."""
        if request.method == "POST":
            return HttpResponse(f"{request.POST['name']} sent {request.FILES['file'].size} bytes")
        return HttpResponse(get_token(request))

    def counted(request):
        return StreamingHttpResponse((f"{number}\n" for number in range(3)), content_type="text/plain")

    settings.configure(
        DEBUG=False,
        SECRET_KEY="of a test",
        ALLOWED_HOSTS=[".localhost"],
        ROOT_URLCONF=type("urls", (), {"urlpatterns": [path("", where), path("form", form), path("counted", counted)]}),
        MIDDLEWARE=["django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"],
    )


@app.function()
@modal.concurrent(max_inputs=20)
@modal.wsgi_app()
def by_wsgi():
    from django.core.wsgi import get_wsgi_application

    configure()
    return get_wsgi_application()


@app.function()
@modal.concurrent(max_inputs=20)
@modal.asgi_app()
def by_asgi():
    from django.core.asgi import get_asgi_application

    configure()
    return get_asgi_application()
