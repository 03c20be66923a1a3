"""In the form of Modal's sample Count Faces, with the OpenCV that needs no package of the system."""

import os

import postern as modal

app = modal.App("example-count-faces")

open_cv_image = (
    modal.Image.debian_slim()
    .apt_install("python3-opencv")
    .uv_pip_install("fastapi[standard]", "opencv-python-headless~=4.10", "numpy<2")
)


@app.function(image=open_cv_image)
def count_faces(image_bytes: bytes) -> int:
    import cv2
    import numpy as np

    face_cascade = cv2.CascadeClassifier(os.path.join(cv2.data.haarcascades, "haarcascade_frontalface_default.xml"))
    np_bytes = np.frombuffer(image_bytes, dtype=np.uint8)
    img = cv2.imdecode(np_bytes, cv2.IMREAD_COLOR)
    gray = cv2.cvtColor(img, cv2.COLOR_BGR2GRAY)
    faces = face_cascade.detectMultiScale(gray, 1.1, 4)
    return len(faces)


@app.function(image=modal.Image.debian_slim().uv_pip_install("inflect"))
@modal.asgi_app()
def web():
    import inflect
    from fastapi import FastAPI, File, HTTPException, UploadFile
    from fastapi.responses import HTMLResponse

    app = FastAPI()

    @app.get("/", response_class=HTMLResponse)
    async def index():
        return '<form action="/process" method="post" enctype="multipart/form-data"></form>'

    @app.post("/process", response_class=HTMLResponse)
    async def process(file: UploadFile = File(...)):
        try:
            file_content = await file.read()
            num_faces = await count_faces.remote.aio(file_content)
            number = inflect.engine().number_to_words(num_faces).title()
            return f"<h1>{number} {'Face' if num_faces == 1 else 'Faces'} Detected</h1>"
        except Exception as e:
            raise HTTPException(status_code=400, detail=f"Error processing image: {str(e)}")

    return app
