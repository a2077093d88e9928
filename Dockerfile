# A worker: docker build -t tributary . && docker run -e TRIB_DATABASE_URL=postgresql://… tributary
FROM python:3.13-slim AS build
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.13-slim
RUN useradd --create-home --uid 10001 tributary
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir "$(ls /wheels/*.whl)[images]" && rm -rf /wheels
USER tributary
WORKDIR /home/tributary
# SIGTERM drains: give `docker stop` at least the worker's --drain-timeout (60 s), e.g. `docker stop -t 70`.
STOPSIGNAL SIGTERM
ENTRYPOINT ["trib"]
CMD ["worker"]
