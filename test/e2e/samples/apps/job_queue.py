import postern as modal

app = modal.App("my-job-queue")


@app.function(image=modal.Image.debian_slim().pip_install("fastapi[standard]"))
def process_job(data):
    return {"result": data}


def submit_job(data):
    process_job = modal.Function.from_name("my-job-queue", "process_job")
    call = process_job.spawn(data)
    return call.object_id


def get_job_result(call_id):
    function_call = modal.FunctionCall.from_id(call_id)
    try:
        result = function_call.get(timeout=30)
    except modal.exception.OutputExpiredError:
        result = {"result": "expired"}
    except TimeoutError:
        result = {"result": "pending"}
    return result


@app.local_entrypoint()
def main():
    call_id = submit_job("my-data")
    print(get_job_result(call_id))
